import { type Config, settingsFor } from '../config/config.ts';
import { describeEgress } from '../config/egress.ts';
import type { HomePaths, Role } from '../config/home.ts';
import type { WorkerPlace } from '../gateway/metrics/workers.ts';
import { createLogger, type Logger } from '../platform/log.ts';
import { provideRequestSignal } from '../platform/request-signal.ts';
import { openFilesLimit } from './open-files.ts';
import { accountPageOptions, authOptions, coreOptions, gatewayOptions } from './role-options.ts';
import { watchAuthorities } from './watch-authorities.ts';

export interface RunningRole extends AsyncDisposable {
  /** Reads the hand-written files again, whether they have changed or not. */
  reload?(): Promise<void>;
}

/**
 * Starts one role in this process, and loads only the code that the role needs. `place` says which of several
 * gateways it is.
 */
export async function runRole(
  role: Role,
  given: Config,
  paths: HomePaths,
  place?: WorkerPlace,
): Promise<RunningRole> {
  // A role that was started alone has read the settings of all roles.
  const config = role === 'core' ? given : settingsFor(role, given);
  provideRequestSignal();
  await using stack = new AsyncDisposableStack();
  const log = createLogger(role, config.log);
  stack.use(await watchAuthorities(role, config, log));
  const running = stack.use(await startRole(role, config, paths, log, place));
  const ending = stack.move();
  return {
    ...(running.reload && { reload: () => running.reload?.() ?? Promise.resolve() }),
    [Symbol.asyncDispose]: () => ending.disposeAsync(),
  };
}

async function startRole(
  role: Role,
  config: Config,
  paths: HomePaths,
  log: Logger,
  place?: WorkerPlace,
): Promise<RunningRole> {
  switch (role) {
    case 'core': {
      const { startCore } = await import('../core/core.ts');
      const options = await coreOptions(config, paths);
      const way = describeEgress(config.egress);
      if (way !== '') log.info({ proxy: way }, 'upstreams are reached by a proxy');
      return startCore({ ...options, lookAtUpstreams: true, log });
    }
    case 'auth': {
      const { startAuth } = await import('../auth/auth.ts');
      return startAuth({ ...(await authOptions(config, paths)), log });
    }
    case 'gateway': {
      const { startGateway } = await import('../gateway/gateway.ts');
      const worker = place && { place, directory: paths.runtime.gateway };
      const options = await gatewayOptions(config, paths);
      return startGateway({ ...options, openFiles: openFilesLimit(), ...(worker && { worker }), log });
    }
    case 'account': {
      const { startAccount } = await import('../account/account.ts');
      return startAccount({ ...(await accountPageOptions(config, paths)), log });
    }
  }
}
