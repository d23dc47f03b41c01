import { flushCompileCache } from 'node:module';
import type { Config } from '../config/config.ts';
import { pathsIn, type Role } from '../config/home.ts';
import type { WorkerPlace } from '../gateway/metrics/workers.ts';
import { isErrno, messageOf } from '../platform/reason.ts';
import { followSupervisor } from '../supervisor/role-process.ts';
import { returnMemory } from './return-memory.ts';
import { runRole } from './run-role.ts';
import type { ExitCode } from './terminal.ts';

/**
 * Runs a role in a process that a supervisor started. The role receives its settings, reports, and ends when
 * the supervisor says so or has gone. It ignores signals: Ctrl-C and service managers send them to all
 * processes at once, and the roles would end in no particular order.
 */
export async function startSupervised(role: Role, home: string): Promise<ExitCode> {
  process.umask(0o027);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {});
  const supervisor = followSupervisor();
  // The same program has checked and sent this configuration.
  const config = (await supervisor.settings) as Config & { readonly place?: WorkerPlace };
  try {
    await using running = await runRole(role, config, pathsIn(home), config.place);
    supervisor.onReload = () => void running.reload?.();
    returnMemory();
    supervisor.report({ ready: true });
    flushCompileCache();
    await supervisor.stopped;
    return 0;
  } catch (error) {
    supervisor.report({ failed: explain(error, config) });
    return 1;
  }
}

function explain(error: unknown, { server: { listen, admin, plain } }: Config): string {
  if (!isErrno(error, 'EADDRINUSE')) return messageOf(error);
  const last = plain === undefined ? '' : ` or ${plain.port} (server.plain)`;
  return `port ${listen.port} (server.listen) or ${admin.port} (server.admin)${last} is in use: ${messageOf(error)}`;
}
