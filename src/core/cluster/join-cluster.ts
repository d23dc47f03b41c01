/** The part of a core that makes its node a member of a cluster. It is loaded only if there is one. */
import { Copies } from '../../cluster/copies.ts';
import { openClusterDatabase } from '../../cluster/database.ts';
import { Leases } from '../../cluster/leases.ts';
import { CLUSTER_LIMITS, type ClusterLimits } from '../../cluster/limits.ts';
import { localAddress } from '../../cluster/local-address.ts';
import { Nodes } from '../../cluster/nodes.ts';
import { Purges } from '../../cluster/purges.ts';
import type { Clock } from '../../platform/clock.ts';
import type { EgressOptions } from '../../platform/egress/proxy-rules.ts';
import type { Logger } from '../../platform/log.ts';
import { Postgres } from '../../platform/postgres.ts';
import { runPeriodically } from '../../platform/scheduling/periodic-task.ts';
import type { Digest } from '../../registry/digest.ts';
import type { HostedDuty } from '../hosted/duty.ts';
import type { HostedDatabase } from '../hosted/hosted-database.ts';
import { PostgresHostedDatabase } from '../hosted/postgres-hosted-database.ts';
import { ClusterIndex } from '../store/cluster-index.ts';
import type { IndexStore } from '../store/index-store.ts';
import type { Store } from '../store/store.ts';
import { FollowedPurges } from './follow-purges.ts';
import { LeasedDuty } from './leased-duty.ts';
import { KEEP_MANIFESTS_FOR, SWEEP_MANIFESTS_EVERY } from './limits.ts';
import type { PurgeCopies } from './objects/hosted-objects.ts';
import type { ClusterObjects, JoinObjectsOptions, ObjectsOptions } from './objects/join-objects.ts';
import { PeerClient } from './peer-client.ts';
import { type ServedToPeers, servePeers } from './peer-server.ts';
import { SharedCounts } from './shared-counts.ts';
import { SharedManifests } from './shared-manifests.ts';
import { Sources } from './sources.ts';
import { UploadOwners } from './upload-owners.ts';

export interface ClusterCoreOptions {
  /** A `postgres://` URL. */
  readonly database: string;
  /** The name of the node. */
  readonly node: string;
  /** The version of Hubgate. */
  readonly version: string;
  /** The certificate of the node and its key, as PEM. */
  readonly certificate: string;
  readonly key: string;
  /** The address of the listener for the other nodes. */
  readonly listen: { readonly host?: string; readonly port: number };
  readonly onDatabaseLoss: 'serve' | 'refuse';
  /** The object store of the nodes; absent if there is none. */
  readonly objects?: ObjectsOptions;
  /** Only tests set others. */
  readonly limits?: ClusterLimits;
}

/** The facts that a node needs to know of its core. */
export interface JoiningCore {
  readonly egress?: EgressOptions | undefined;
  /** The milliseconds after which unused content is removed; 0 means never. */
  readonly unusedFor: number;
  readonly clock?: Clock | undefined;
  readonly log: Logger;
}

export interface ClusterCore extends AsyncDisposable {
  readonly nodes: Nodes;
  readonly leases: Leases;
  readonly sources: Sources;
  readonly manifests: SharedManifests;
  readonly counts: SharedCounts;
  /** Absent if there is no object store. */
  readonly objects?: ClusterObjects | undefined;
  readonly openUploads?: ClusterObjects['openUploads'] | undefined;
  /** Returns the index of the node: its own one, with the knowledge that the nodes share. */
  share(local: IndexStore): IndexStore;
  /**
   * Removes content that no repository contains any more from what the nodes share, and tells the other nodes
   * to remove it from their disks. Resolves to their number.
   */
  purge(digest: Digest): Promise<number>;
  readonly purgeCopies: PurgeCopies;
  /** Begins to remove what was purged on other nodes. */
  followPurges(store: Store, isArriving: (digest: Digest) => boolean): AsyncDisposable;
  /** False while the database does not answer. */
  isConnected(): boolean;
  /** Serves the other nodes. */
  serve(served: ServedToPeers): Promise<AsyncDisposable>;
  readonly uploadOwners: UploadOwners;
  /** The database of the hosted repositories. */
  readonly hostedDatabase: HostedDatabase;
  /** Says which node collects the hosted content. */
  readonly hostedDuty: HostedDuty;
}

/**
 * Joins the cluster.
 * @throws DatabaseUnavailable
 */
export async function joinCluster(
  options: ClusterCoreOptions,
  { egress, unusedFor, clock, log }: JoiningCore,
): Promise<ClusterCore> {
  const { database: url, node, version, certificate, key, listen, onDatabaseLoss } = options;
  const { limits = CLUSTER_LIMITS } = options;
  const host = listen.host ?? (await localAddress(url, limits.query));
  const address = `${host.includes(':') ? `[${host}]` : host}:${listen.port}`;
  const own = { id: node, address, certificate, version };
  await using stack = new AsyncDisposableStack();
  const application = `hubgate core ${node}`;
  const { database, notifications } = stack.use(await openClusterDatabase({ url, application, log, limits }));
  const beats = stack.use(new Postgres({ url, application, connections: 1, deadline: limits.query }));
  const nodes = stack.use(await Nodes.join({ own, database: beats, limits, clock, log }));
  const leases = new Leases({ database: beats, nodes, limits, log });
  const copies = new Copies({ database, node, log });
  const peers = stack.use(new PeerClient({ nodes, key, limits }));
  const manifests = new SharedManifests(database);
  stack.use(
    runPeriodically(SWEEP_MANIFESTS_EVERY, async () => void (await manifests.sweep(KEEP_MANIFESTS_FOR)), log),
  );
  const counts = stack.use(new SharedCounts({ database, node, log }));
  const objects =
    options.objects &&
    stack.use(await openObjects({ ...options.objects, database, leases, node, egress, unusedFor, log }));
  const onUsed = objects && ((digest: Digest) => objects.uses.add(digest));
  const purges = new Purges(database, node);
  const hostedDuty = stack.use(new LeasedDuty(leases));
  const joined = stack.move();
  return {
    nodes,
    manifests,
    counts,
    objects,
    openUploads: objects?.openUploads,
    leases,
    sources: new Sources({ nodes, leases, copies, peers, objects: objects?.source, limits }),
    isConnected: () => notifications.isListening.current,
    share: (local) =>
      new ClusterIndex({ local, database, notifications, copies, onUsed, onDatabaseLoss, log }),
    purge: async (digest) => {
      await manifests.removeUnlinked(digest);
      await objects?.remove(digest);
      return purges.requestFromOthers(digest);
    },
    purgeCopies: (digest) => purges.requestFromAll(digest),
    followPurges: (store, isArriving) =>
      new FollowedPurges({ purges, notifications, store, isArriving, limits, log }),
    serve: (served) => servePeers({ ...listen, ...served, key, nodes, log }),
    uploadOwners: new UploadOwners({ nodes, key, limits }),
    hostedDatabase: new PostgresHostedDatabase(database),
    hostedDuty,
    [Symbol.asyncDispose]: () => joined.disposeAsync(),
  };
}

/** Loads the client of the object store only where there is one. */
async function openObjects(options: JoinObjectsOptions): Promise<ClusterObjects> {
  const { joinObjects } = await import('./objects/join-objects.ts');
  return joinObjects(options);
}
