import { setTimeout as delay } from 'node:timers/promises';
import { readPolicy } from '../../../access/load-policy.ts';
import { inHome } from '../../../config/home.ts';
import { policyContext } from '../../../config/policy-context.ts';
import { formatFault } from '../../../platform/fault.ts';
import { type Looked, wrong } from '../checks.ts';
import { askRoles } from './roles.ts';
import type { ExaminedServer } from './server.ts';

/** A time in milliseconds. A change is in force within a second. */
const SETTLED = 1_500;

/** Checks whether the policy in the files is the one in force. */
export async function policy(server: ExaminedServer): Promise<Looked> {
  const { paths, clock, auth, config } = server;
  const where = inHome(paths.policy, paths);
  const read = await readPolicy(paths.policy, clock(), policyContext(config));
  if ('faults' in read) {
    const faults = read.faults.map((fault) => formatFault({ ...fault, source: inHome(fault.source, paths) }));
    const holds = auth === undefined ? '' : '; the last good one holds';
    return {
      findings: [wrong(where, `is refused: ${faults.join('; ')}${holds}`, 'mend it (hubgate check)')],
    };
  }
  if (auth === undefined) return { skipped: 'which policy holds only a running mirror knows' };
  const { version } = read.value.policy.data;
  const holds = (status: ExaminedServer['auth']) =>
    status === undefined || (status.policy.version === version && status.policy.refused === null);
  const settled = holds(auth) ? undefined : await settledStatus(server);
  if (settled === undefined || holds(settled)) return { findings: [] };
  const why = settled.policy.refused === null ? '' : `: ${settled.policy.refused.join('; ')}`;
  const what = `is not the policy by which the running mirror decides${why}`;
  const mend =
    'restart the mirror if hubgate.yaml has changed since it started. Else its log says why; do both read the same directory?';
  return { findings: [wrong(where, what, mend)] };
}

/** Returns what auth reports after an edit of this very moment has had time to take effect. */
async function settledStatus({ paths }: ExaminedServer): Promise<ExaminedServer['auth']> {
  await delay(SETTLED);
  return (await askRoles(paths)).auth;
}
