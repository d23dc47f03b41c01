import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { stateOfPolicy } from '../access/load-policy.ts';
import { CLUSTER_LIMITS } from '../cluster/limits.ts';
import { migrateCluster } from '../cluster/schema.ts';
import { systemClock } from '../platform/clock.ts';
import { Postgres } from '../platform/postgres.ts';
import { ABSENT, stateOfFile } from '../platform/watched-files.ts';
import { policyCopy, usersCopy } from './shared-files.ts';

export interface SharedFiles {
  /** The path of the users file. */
  readonly users: string;
  /** The path of access.yaml. */
  readonly policy: string;
}

/**
 * Writes the users and the policy that the nodes of a cluster have to a node that has none.
 * @throws DatabaseUnavailable
 */
export async function fetchSharedFiles(url: string, { users, policy }: SharedFiles): Promise<void> {
  const { query: deadline } = CLUSTER_LIMITS;
  await using database = new Postgres({ url, application: 'hubgate prepare', connections: 1, deadline });
  await migrateCluster(database);
  const rows = await database.rows<{ name: string; text: string }>(
    'SELECT name, text FROM hubgate.shared_document',
  );
  const texts = new Map(rows.map(({ name, text }) => [name, text]));
  const [ownUsers, ownPolicy] = [texts.get('users'), texts.get('policy')];
  await mkdir(path.dirname(policy), { recursive: true, mode: 0o750 });
  if (ownUsers !== undefined && (await stateOfFile(users)) === ABSENT)
    await usersCopy(users, systemClock).write(ownUsers);
  if (ownPolicy !== undefined && (await stateOfPolicy(policy)) === '')
    await policyCopy({ file: policy, isInForce: async () => true, clock: systemClock }).write(ownPolicy);
}
