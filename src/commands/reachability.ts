import type { HomePaths } from '../config/home.ts';
import { printLine, type Terminal } from '../launch/terminal.ts';
import { UPSTREAM_CHECKS } from '../protocol/core-api.ts';
import { askRole } from './ask-role.ts';

/** Asks the core whether the upstreams answer, and prints a line for each. */
export async function printReachability(
  { coreSocket }: Pick<HomePaths, 'coreSocket'>,
  { stdout }: Terminal,
): Promise<void> {
  const question = { method: 'POST', path: '/upstreams/check', schema: UPSTREAM_CHECKS } as const;
  const said = await askRole(coreSocket, question);
  if (typeof said === 'string') return;
  for (const { host, trouble, credential, milliseconds } of said.answer) {
    const refused = credential === 'refused' ? ', but it refuses the account' : '';
    const state =
      trouble === null
        ? `answers, in ${milliseconds} ms${refused}`
        : `cannot be reached: ${trouble}; what is cached is served. To see each step: hubgate upstream check ${host}`;
    printLine(stdout, `  ${host} ${state}`);
  }
}
