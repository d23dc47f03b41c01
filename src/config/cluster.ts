import { hostname } from 'node:os';
import { z } from 'zod';
import { type PartReader, section } from '../platform/yaml/yaml-schema.ts';
import { completeObjects, OBJECTS, type ObjectsConfig } from './cluster-objects.ts';
import { optional } from './schema.ts';
import { LISTEN_ADDRESS, type ListenAddress } from './values.ts';

/** The cluster that this home is a node of. */
export interface ClusterConfig {
  /** The `postgres://` URL of the database. It usually holds a password. */
  readonly database: string;
  /** The address on which the node listens for the other nodes. */
  readonly listen: ListenAddress;
  /** The name of the node. No two nodes have the same. */
  readonly node: string;
  /** Decides whether known clients are served or refused while the database does not answer. */
  readonly onDatabaseLoss: 'serve' | 'refuse';
  /** The object store of the nodes; absent if they only fetch from one another. Only the core has it. */
  readonly objects?: ObjectsConfig;
}

const A_DATABASE = 'the URL of a PostgreSQL database, such as postgres://hubgate@db.corp/hubgate';
const A_NODE = 'a name of letters and digits in lower case and -, such as mirror-1';
const NODE = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const ON_LOSS = ['serve', 'refuse'] as const;
const LISTEN = ':9443';

export const CLUSTER_KEYS = {
  database: optional(
    z.string(A_DATABASE).regex(/^postgres(?:ql)?:\/\/\S+$/, A_DATABASE),
    'none; it is required',
    'The PostgreSQL database that all nodes share. Its user must be allowed to create a schema. See [cluster.md](cluster.md#the-database).',
  ),
  listen: optional(
    LISTEN_ADDRESS,
    `\`${LISTEN}\``,
    'The address on which this node listens for the other nodes. Only nodes of the cluster are answered.',
  ),
  node: optional(
    z.string(A_NODE).regex(NODE, A_NODE),
    "the host's name",
    'The name of this node. No two nodes have the same.',
  ),
  onDatabaseLoss: optional(
    z.enum(ON_LOSS, `one of ${ON_LOSS.join(', ')}`),
    '`serve`',
    'What a node does while the database does not answer. `serve`: clients that have a token go on with what the node remembers. `refuse`: it answers 503, so that no revocation is missed.',
  ),
  objects: optional(
    OBJECTS,
    'none: the nodes fetch content from one another',
    'The S3-compatible store in which the nodes keep blobs, so that none is lost with a node. See [cluster.md](cluster.md#the-object-store).',
  ),
};

const CLUSTER = section(CLUSTER_KEYS, {
  url: 'database',
  postgres: 'database',
  address: 'listen',
  name: 'node',
  s3: 'objects',
  bucket: 'the bucket belongs to the object store; write objects: { bucket: … }',
});

interface ClusterContext {
  readonly externalCore: boolean;
  readonly isHosting: boolean;
  /** True if only roles are started that need not know the database: a gateway, or the account page. */
  readonly needsNoDatabase: boolean;
  /** Returns the absolute path of a file. */
  readonly at: (file: string) => string;
}

/** Reads the section `cluster`. Returns nothing if the home is no node of a cluster. */
export function readCluster(
  parts: PartReader,
  { externalCore, isHosting, needsNoDatabase, at }: ClusterContext,
): { readonly cluster?: ClusterConfig; readonly node?: string } {
  const given = parts.read(['cluster'], CLUSTER.nullish());
  if (given == null) return {};
  const { database, listen = LISTEN_ADDRESS.parse(LISTEN), onDatabaseLoss = 'serve' } = given;
  const refuse = (message: string) => parts.fault(['cluster'], message, 'key');
  if (externalCore)
    refuse('the registry at core.url is no node of a cluster; remove this section, or core.url');
  if (isHosting && given.objects == null)
    refuse(
      'a cluster hosts repositories only in an object store; write objects: { endpoint: …, bucket: … }, or remove hosted, see docs/cluster.md#hosted-repositories',
    );
  if (database === undefined && !needsNoDatabase)
    refuse('a cluster needs a database; write database: postgres://…');
  const node = given.node ?? hostname().split('.')[0]?.toLowerCase() ?? '';
  if (!NODE.test(node)) refuse(`the host's name "${node}" is no name of a node; write node: mirror-1`);
  const objects = given.objects && completeObjects(parts, given.objects, at);
  if (database === undefined) return { node };
  return { node, cluster: { database, listen, node, onDatabaseLoss, ...(objects && { objects }) } };
}
