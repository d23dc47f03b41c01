/**
 * Makes the options of each role from the configuration and from the files of the home. The caller adds the
 * options that belong to one process: a log, and for a gateway its place among the others.
 */
import packageJson from '../../package.json' with { type: 'json' };
import type { AccountPageOptions } from '../account/account.ts';
import type { AuthOptions } from '../auth/auth.ts';
import type { ClusterConfig } from '../config/cluster.ts';
import type { Config } from '../config/config.ts';
import type { HomePaths } from '../config/home.ts';
import { hostedNames } from '../config/hosted.ts';
import type { ClusterCoreOptions } from '../core/cluster/join-cluster.ts';
import type { CoreOptions } from '../core/core.ts';
import type { GatewayOptions } from '../gateway/gateway.ts';
import { systemClock } from '../platform/clock.ts';
import type { UpstreamNames } from '../registry/repository.ts';
import { egressOptions, upstreamOptions } from './upstream-options.ts';

export async function coreOptions(config: Config, paths: HomePaths): Promise<Omit<CoreOptions, 'log'>> {
  return {
    socket: paths.coreSocket,
    ...config.cache,
    ...(config.hosted && { hosted: config.hosted }),
    ...(config.cluster && { cluster: await nodeOf(config.cluster) }),
    upstreams: await upstreamOptions(config),
    ...(await egressOf(config)),
  };
}

export async function authOptions(config: Config, paths: HomePaths): Promise<Omit<AuthOptions, 'log'>> {
  return {
    socket: paths.authSocket,
    usersFile: paths.users,
    stateFile: paths.authState,
    policyFile: paths.policy,
    lastPolicyFile: paths.lastPolicy,
    keyFile: paths.signingKey,
    loginKeyFile: paths.loginKey,
    url: new URL(config.server.url),
    tokenLifetime: config.tokenLifetime,
    ...(config.refreshLifetime !== undefined && { refreshLifetime: config.refreshLifetime }),
    longestToken: config.longestToken,
    passwords: config.passwords,
    federations: config.federations,
    logins: config.logins,
    ...(config.cluster && { cluster: { ...config.cluster, directory: paths.sharedDocuments } }),
    ...(await egressOf(config)),
    names: namesOf(config),
  };
}

export async function gatewayOptions(config: Config, paths: HomePaths): Promise<Omit<GatewayOptions, 'log'>> {
  // The other roles do not need this code, so they do not load it.
  const { localCaOf } = await import('../pki/local-ca.ts');
  const { explainPair } = await import('./server-certificate.ts');
  const { listen, admin, plain, proxyProtocol, trustedProxies, catalog } = config.server;
  const ca = await localCaOf({ ca: paths.ca, server: config.tls });
  return {
    listen,
    admin,
    proxyProtocol,
    trustedProxies,
    ...(plain && { plain }),
    catalog,
    url: new URL(config.server.url),
    names: namesOf(config),
    certificate: config.tls.certificate,
    key: config.tls.key,
    explainPair: () => explainPair(config, paths),
    clientCa: config.tls.clientCa ?? paths.ca.certificate,
    ...(ca !== undefined && { ca }),
    auditFile: config.log.audit,
    auditOnFull: config.log.auditOnFull,
    ...(config.node !== undefined && { node: config.node }),
    authSocket: paths.authSocket,
    accountSocket: paths.accountSocket,
    core:
      config.coreUrl === undefined
        ? {
            socket: paths.coreSocket,
            directory: config.cache.directory,
            ...(config.hosted && { hosted: config.hosted.directory }),
          }
        : { url: new URL(config.coreUrl) },
  };
}

export async function accountPageOptions(
  config: Config,
  paths: HomePaths,
): Promise<Omit<AccountPageOptions, 'log'>> {
  const { localCaOf } = await import('../pki/local-ca.ts');
  // A user of its own may not read the certificates; the texts to paste then lack the authority.
  const ca = await localCaOf({ ca: paths.ca, server: config.tls }).catch(() => undefined);
  return {
    socket: paths.accountSocket,
    authSocket: paths.authSocket,
    mirror: { host: new URL(config.server.url).host, ...(ca !== undefined && { ca }) },
    auditFile: config.log.audit,
  };
}

/** The key of a node lives as long as its core. The other nodes find its certificate in the database. */
async function nodeOf(cluster: ClusterConfig): Promise<ClusterCoreOptions> {
  const { makeNodeCertificate } = await import('../pki/node-certificate.ts');
  const { version } = packageJson;
  return { ...cluster, version, ...makeNodeCertificate(cluster.node, systemClock()) };
}

async function egressOf(config: Config) {
  const egress = await egressOptions(config);
  return egress && { egress };
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
