import type { Config } from '../config/config.ts';
import { describeEgress } from '../config/egress.ts';
import type { HomePaths, Role } from '../config/home.ts';
import { hostedNames } from '../config/hosted.ts';
import type { WorkerPlace } from '../gateway/metrics/workers.ts';
import { createLogger, type Logger } from '../platform/log.ts';
import type { UpstreamNames } from '../registry/repository.ts';
import { openFilesLimit } from './open-files.ts';
import { egressOptions, upstreamOptions } from './upstream-options.ts';
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
  config: Config,
  paths: HomePaths,
  place?: WorkerPlace,
): Promise<RunningRole> {
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
  const names = namesOf(config);
  const options = await egressOptions(config);
  const egress = { ...(options && { egress: options }) };
  switch (role) {
    case 'core': {
      const { startCore } = await import('../core/core.ts');
      const upstreams = await upstreamOptions(config);
      const way = describeEgress(config.egress);
      if (way !== '') log.info({ proxy: way }, 'upstreams are reached by a proxy');
      return startCore({
        socket: paths.coreSocket,
        ...config.cache,
        ...(config.hosted && { hosted: config.hosted }),
        upstreams,
        ...egress,
        lookAtUpstreams: true,
        log,
      });
    }
    case 'auth': {
      const { startAuth } = await import('../auth/auth.ts');
      return startAuth({
        socket: paths.authSocket,
        usersFile: paths.users,
        stateFile: paths.authState,
        policyFile: paths.policy,
        lastPolicyFile: paths.lastPolicy,
        keyFile: paths.signingKey,
        url: new URL(config.server.url),
        tokenLifetime: config.tokenLifetime,
        ...(config.refreshLifetime !== undefined && { refreshLifetime: config.refreshLifetime }),
        passwords: config.passwords,
        federations: config.federations,
        ...egress,
        names,
        log,
      });
    }
    case 'gateway': {
      const { startGateway } = await import('../gateway/gateway.ts');
      const { localCaOf } = await import('../pki/local-ca.ts');
      const { explainPair } = await import('./server-certificate.ts');
      const { listen, admin, plain, proxyProtocol, trustedProxies, catalog } = config.server;
      const ca = await localCaOf({ ca: paths.ca, server: config.tls });
      return startGateway({
        listen,
        admin,
        proxyProtocol,
        trustedProxies,
        ...(plain && { plain }),
        catalog,
        url: new URL(config.server.url),
        names,
        ...config.tls,
        explainPair: () => explainPair(config, paths),
        clientCa: config.tls.clientCa ?? paths.ca.certificate,
        ...(ca !== undefined && { ca }),
        auditFile: config.log.audit,
        auditOnFull: config.log.auditOnFull,
        authSocket: paths.authSocket,
        openFiles: openFilesLimit(),
        core:
          config.coreUrl === undefined
            ? {
                socket: paths.coreSocket,
                directory: config.cache.directory,
                ...(config.hosted && { hosted: config.hosted.directory }),
              }
            : { url: new URL(config.coreUrl) },
        ...(place !== undefined && { worker: { place, directory: paths.runtime.gateway } }),
        log,
      });
    }
  }
}

function namesOf({ upstreams, server, hosted }: Config): UpstreamNames {
  const { names } = server;
  const url = new URL(server.url);
  const self = [url.host, ...names.flatMap((name) => [name, `${name}:${url.port || 443}`])];
  return {
    upstreams: new Set(upstreams.map(({ host }) => host)),
    self: new Set(self),
    hosted: hostedNames(hosted),
  };
}
