import type { Environment } from '../../../config/environment.ts';
import { pathsIn } from '../../../config/home.ts';
import { loadConfig } from '../../../config/load-config.ts';
import { egressOptions } from '../../../launch/upstream-options.ts';
import type { Clock } from '../../../platform/clock.ts';
import { formatFault } from '../../../platform/fault.ts';
import { type Check, type Looked, wrong } from '../checks.ts';
import { auditLog } from './audit.ts';
import { certificateChecks } from './certificate.ts';
import { diskChecks } from './disk.ts';
import { fileModes } from './file-modes.ts';
import { fileOwners } from './file-owners.ts';
import { hostedRepositories } from './hosted.ts';
import { listeners } from './listeners.ts';
import { policy } from './policy.ts';
import { askRoles, doRolesRun } from './roles.ts';
import type { ExaminedServer } from './server.ts';
import { upstreamChecks } from './upstreams.ts';
import { users } from './users.ts';

/** Returns the checks of the mirror with this home, whether it runs or not. */
export async function serverChecks(
  home: string,
  environment: Environment,
  clock: Clock,
): Promise<readonly Check[]> {
  const paths = pathsIn(home);
  const roles = await askRoles(paths);
  // A running core has its credential, which may come from another environment than this one.
  const readsSecrets = roles.core === undefined;
  const loaded = await loadConfig({ directory: paths.home, environment, readsSecrets, servesClients: true });
  const configuration: Check = {
    name: 'configuration',
    look: async () => lookAtConfiguration(loaded),
  };
  if ('faults' in loaded) return [configuration];
  const server: ExaminedServer = { paths, config: loaded.value, clock, ...roles };
  return [
    configuration,
    { name: 'roles', look: async () => doRolesRun(server) },
    ...upstreamChecks(server),
    ...certificateChecks(server),
    { name: 'file owners', look: () => fileOwners(server) },
    { name: 'file modes', look: () => fileModes(server) },
    ...diskChecks(server),
    ...(server.config.hosted
      ? [{ name: 'hosted repositories', look: async () => hostedRepositories(server) }]
      : []),
    ...(await clusterChecksOf(server)),
    ...(await loginChecksOf(server)),
    { name: 'policy', look: () => policy(server) },
    { name: 'audit log', look: () => auditLog(server) },
    { name: 'users', look: () => users(server) },
    { name: 'listeners', look: () => listeners(server) },
  ];
}

/** A home that works alone does not load the client of the database. */
async function clusterChecksOf({ paths, config, clock }: ExaminedServer) {
  const { cluster } = config;
  if (cluster === undefined) return [];
  const { clusterChecks } = await import('./cluster.ts');
  return clusterChecks({ paths, cluster, clock, egress: () => egressOptions(config) });
}

/** Without a login, the libraries of directories are not loaded. */
async function loginChecksOf(server: ExaminedServer): Promise<readonly Check[]> {
  if (server.config.logins.length === 0) return [];
  const { loginChecks } = await import('./logins.ts');
  return loginChecks(server);
}

function lookAtConfiguration(loaded: Awaited<ReturnType<typeof loadConfig>>): Looked {
  if ('value' in loaded) return { findings: [] };
  const mend = 'mend it; the other checks wait for that (hubgate check)';
  return { findings: loaded.faults.map((fault) => wrong('the configuration', formatFault(fault), mend)) };
}
