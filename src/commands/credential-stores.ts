import type { UserStores } from '../auth/admin/users.ts';
import type { Environment } from '../config/environment.ts';
import { pathsIn } from '../config/home.ts';
import { loadConfig } from '../config/load-config.ts';
import { FaultsError } from '../platform/fault.ts';
import { readIfPresent } from '../platform/regular-file.ts';

/** The limit in bytes for a configuration that cannot be parsed. */
const MAX_SIZE = 1024 * 1024;

/**
 * Returns where the users and the credentials of a home are: in its files, or in the database of its cluster.
 * @throws FaultsError if the configuration is invalid and may name a database, because a revocation must not
 *   end in a file that nobody reads
 */
export async function credentialStores(home: string, environment: Environment): Promise<UserStores> {
  const { users, authState } = pathsIn(home);
  const loaded = await loadConfig({ directory: pathsIn(home).home, environment, readsSecrets: false });
  if ('faults' in loaded) {
    const text = await readIfPresent(`${pathsIn(home).home}/config/hubgate.yaml`, MAX_SIZE);
    if (environment.HUBGATE_CLUSTER_DATABASE !== undefined || text?.includes('cluster:'))
      throw new FaultsError(loaded.faults);
    return { users, authState };
  }
  const { cluster } = loaded.value;
  return { users, authState, ...(cluster && { database: cluster.database }) };
}
