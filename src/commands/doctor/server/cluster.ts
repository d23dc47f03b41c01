/** The checks of a node of a cluster. They are loaded only if the home is one. */
import { X509Certificate } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { clockAhead } from '../../../cluster/clock-ahead.ts';
import {
  hearsNotifications,
  readDatabaseTime,
  readNodeCertificates,
  readSchemaVersion,
} from '../../../cluster/examine.ts';
import { CLUSTER_SCHEMA } from '../../../cluster/schema.ts';
import { type NodeStatus, readClusterStatus } from '../../../cluster/status.ts';
import type { ClusterConfig } from '../../../config/cluster.ts';
import { type HomePaths, inHome } from '../../../config/home.ts';
import type { Clock } from '../../../platform/clock.ts';
import { DatabaseUnavailable } from '../../../platform/database-unavailable.ts';
import type { EgressOptions } from '../../../platform/egress/proxy-rules.ts';
import { Postgres } from '../../../platform/postgres.ts';
import { errorCode, reasonOf } from '../../../platform/reason.ts';
import { type Check, type Finding, type Looked, wrong } from '../checks.ts';
import { handshake, whyNot } from '../connection.ts';

export interface ExaminedNode {
  readonly paths: Pick<HomePaths, 'home' | 'policy' | 'users'>;
  readonly cluster: ClusterConfig;
  readonly clock: Clock;
  /** The way out of the network, which may lead to the object store. */
  readonly egress?: () => Promise<EgressOptions | undefined>;
}

/** The time-outs in milliseconds for a query, and for a notification, which usually takes less than one. */
const QUERY = 5_000;
const NOTIFICATION = 3_000;
/** The milliseconds by which the clock of a node may differ from that of the database. */
const CLOCKS = 2_000;

const DATABASE = 'cluster.database';
/** The advice by the code of an error: of the network, or an SQLSTATE. */
const ADVICE: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'start PostgreSQL there, or correct the host and the port in cluster.database',
  ENOTFOUND: 'correct the host in cluster.database, or the DNS of this machine',
  '28000': 'correct the user in cluster.database, or let it in by pg_hba.conf',
  '28P01': 'correct the password in cluster.database',
  '3D000': 'make the database (createdb), or correct its name in cluster.database',
  '42501': 'give the user in cluster.database the schema hubgate: it makes the tables and owns them',
};
const OTHER_ADVICE = 'see the log of PostgreSQL, and the firewall between this machine and the database';

export function clusterChecks(node: ExaminedNode): readonly Check[] {
  const { cluster } = node;
  return [
    { name: 'cluster database', look: () => lookAtDatabase(node) },
    {
      name: 'cluster notifications',
      look: () => ifReached(cluster, async (database) => findings(await lookAtNotifications(database))),
    },
    {
      name: 'cluster nodes',
      look: () => ifReached(cluster, async (database) => findings(await lookAtNodes(database, cluster.node))),
    },
    ...objectChecks(node),
    { name: 'shared documents', look: async () => findings(await lookAtConflicts(node)) },
  ];
}

function objectChecks({ cluster: { objects }, egress, clock }: ExaminedNode): readonly Check[] {
  if (objects === undefined) return [];
  const look = async () => {
    const { lookAtObjectStore } = await import('./object-store.ts');
    return lookAtObjectStore(objects, await egress?.(), clock);
  };
  return [{ name: 'object store', look }];
}

function findings(found: readonly Finding[]): Looked {
  return { findings: found };
}

async function lookAtDatabase({ cluster, clock }: ExaminedNode): Promise<Looked> {
  await using database = connectionTo(cluster);
  try {
    const before = clock();
    const now = await readDatabaseTime(database);
    const after = clock();
    const version = await readSchemaVersion(database);
    return findings([...judgeClock(clockAhead(before, now, after)), ...judgeSchema(version)]);
  } catch (error) {
    return findings([wrong(DATABASE, `cannot be used: ${reasonOf(causeOf(error))}`, adviceFor(error))]);
  }
}

/** Judges by how many milliseconds this machine is ahead of the database. */
function judgeClock(ahead: number): Finding[] {
  if (Math.abs(ahead) <= CLOCKS) return [];
  const seconds = Math.round(Math.abs(ahead) / 1000);
  const what = `is ${seconds} s ${ahead > 0 ? 'ahead of' : 'behind'} that of the database`;
  const mend =
    'set the clocks of all nodes and of the database by NTP: a node judges the tokens of others by its clock';
  return [wrong('the clock', what, mend)];
}

function judgeSchema(version: number | undefined): Finding[] {
  if (version === undefined)
    return [wrong(DATABASE, 'has no tables of Hubgate yet', 'start a node: it makes them')];
  if (version < CLUSTER_SCHEMA) {
    const what = `has schema ${version}, and this Hubgate needs ${CLUSTER_SCHEMA}`;
    return [wrong(DATABASE, what, 'start this node again: it adds what is missing')];
  }
  if (version <= CLUSTER_SCHEMA + 1) return [];
  const what = `has schema ${version}, and this Hubgate runs on ${CLUSTER_SCHEMA} and ${CLUSTER_SCHEMA + 1}`;
  return [wrong(DATABASE, what, 'install the release that the other nodes have')];
}

async function lookAtNotifications(database: Postgres): Promise<readonly Finding[]> {
  if (await hearsNotifications(database, NOTIFICATION)) return [];
  const what = 'does not deliver notifications (LISTEN and NOTIFY), so this node misses what others change';
  const mend = 'connect to PostgreSQL itself, or through a pooler in session mode (pool_mode = session)';
  return [wrong(DATABASE, what, mend)];
}

async function lookAtNodes(database: Postgres, own: string): Promise<readonly Finding[]> {
  // Without tables there are no nodes, and the check of the database says what is missing.
  if (((await readSchemaVersion(database)) ?? 0) < CLUSTER_SCHEMA) return [];
  const { nodes } = await readClusterStatus(database);
  const certificates = await readNodeCertificates(database);
  const others = nodes.filter(({ id, isAlive }) => isAlive && id !== own);
  const peers = await Promise.all(others.map((node) => lookAtPeer(node, certificates.get(node.id))));
  return [...nodes.flatMap(judgeSilence), ...peers.flat()];
}

/** A node that was stopped has said so, so it is not silent. */
function judgeSilence({ id, isAlive, beatAt }: NodeStatus): Finding[] {
  if (isAlive || beatAt === null) return [];
  const since = new Date(beatAt).toISOString().replace(/\.\d+Z$/, 'Z');
  const mend = `start it, or, if it will not come back, hubgate cluster forget ${id}`;
  return [wrong(`the node ${id}`, `has given no sign of life since ${since}`, mend)];
}

async function lookAtPeer({ id, address }: NodeStatus, expected = ''): Promise<Finding[]> {
  const { hostname, port } = new URL(`https://${address}`);
  const where = `the node ${id}`;
  const mend = `open the port of cluster.listen between the nodes, or give ${id} a cluster.listen with the host that others reach`;
  try {
    const host = hostname.replace(/^\[|\]$/g, '');
    const found = await handshake({ host, port: Number(port) || 443 });
    if (found?.fingerprint256 === new X509Certificate(expected).fingerprint256) return [];
    return [wrong(where, `is not what answers at ${address}: the certificate is another one`, mend)];
  } catch (error) {
    return [wrong(where, `is alive, but cannot be reached from here at ${address}: ${whyNot(error)}`, mend)];
  }
}

/** Finds the edits that lost to an edit of another node. */
async function lookAtConflicts({ paths }: ExaminedNode): Promise<readonly Finding[]> {
  const kept = await Promise.all([paths.policy, paths.users].map(conflictsOf));
  return kept.flat().map(({ file, conflict }) => {
    const what = 'has an edit that is not in force, because another node had edited the same document';
    const mend = `make the edit again in ${inHome(file, paths)} if it is still wanted, and delete this file`;
    return wrong(inHome(conflict, paths), what, mend);
  });
}

async function conflictsOf(file: string) {
  const { dir, base } = path.parse(file);
  const names = await readdir(dir);
  const conflicts = names.filter((name) => name.startsWith(`${base}.conflict-`)).toSorted();
  return conflicts.map((name) => ({ file, conflict: path.join(dir, name) }));
}

/** Runs a check that needs the database, unless another check says why it cannot be used. */
async function ifReached(
  cluster: ClusterConfig,
  look: (database: Postgres) => Promise<Looked>,
): Promise<Looked> {
  await using database = connectionTo(cluster);
  try {
    return await look(database);
  } catch (error) {
    return { skipped: `the database cannot be used: ${reasonOf(causeOf(error))}` };
  }
}

function connectionTo({ database: url }: ClusterConfig): Postgres {
  return new Postgres({ url, application: 'hubgate doctor', connections: 1, deadline: QUERY });
}

function causeOf(error: unknown): unknown {
  return error instanceof DatabaseUnavailable ? error.cause : error;
}

function adviceFor(error: unknown): string {
  return ADVICE[errorCode(causeOf(error)) ?? ''] ?? OTHER_ADVICE;
}
