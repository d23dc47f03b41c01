import { accessSync, constants } from 'node:fs';
import type { z } from 'zod';
import { type HomePaths, inHome } from '../../../config/home.ts';
import { whoMustRun } from '../../../launch/explain-error.ts';
import { isPermissionDenied } from '../../../platform/reason.ts';
import { AUTH_STATUS } from '../../../protocol/auth-api.ts';
import { CORE_STATUS } from '../../../protocol/core-api.ts';
import { askRole } from '../../ask-role.ts';
import { type Looked, unknown, wrong } from '../checks.ts';
import type { ExaminedServer } from './server.ts';

/**
 * Returns what auth and the core of a home report about themselves; undefined for one that does not answer,
 * or answers with an error.
 */
export async function askRoles({ authSocket, coreSocket }: HomePaths) {
  const [auth, core] = await Promise.all([
    statusOf(authSocket, AUTH_STATUS),
    statusOf(coreSocket, CORE_STATUS),
  ]);
  return { auth, core };
}

async function statusOf<Schema extends z.ZodType>(socket: string, schema: Schema) {
  const said = await askRole(socket, { method: 'GET', path: '/status', schema }).catch(
    () => 'silent' as const,
  );
  return typeof said === 'string' ? undefined : said.answer;
}

export function doRolesRun({ paths, config, auth, core }: ExaminedServer): Looked {
  for (const socket of [paths.authSocket, paths.coreSocket])
    try {
      accessSync(socket, constants.W_OK);
    } catch (error) {
      if (!isPermissionDenied(error)) continue;
      const finding = unknown('the mirror', 'may not be asked by this user', whoMustRun(paths.home));
      return { findings: [finding] };
    }
  const needed = [
    { socket: paths.authSocket, status: auth },
    ...(config.coreUrl === undefined ? [{ socket: paths.coreSocket, status: core }] : []),
  ];
  const silent = needed.filter(({ status }) => status === undefined).map(({ socket }) => socket);
  if (silent.length === needed.length && silent.length > 0) {
    const mend = `start it: hubgate start --home ${paths.home}. What only a running mirror knows was not looked at`;
    return { findings: [wrong(paths.home, 'has no mirror that runs: nothing answers in run/', mend)] };
  }
  const mend = 'hubgate start starts it again by itself, and its log says what ends it';
  return {
    findings: silent.map((socket) =>
      wrong(
        inHome(socket, paths),
        'does not answer, or with an error, while the rest of the mirror runs',
        mend,
      ),
    ),
  };
}
