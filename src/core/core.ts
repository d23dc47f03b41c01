/**
 * The core has content or gets it. It alone has the upstreams' credentials and writes the cache. It receives
 * the read access with each request, and knows nothing of users, tokens or policy.
 */
import { type Clock, systemClock } from '../platform/clock.ts';
import type { EgressOptions } from '../platform/egress/proxy-rules.ts';
import { serveOnSocket } from '../platform/ipc/unix-socket.ts';
import type { Logger } from '../platform/log.ts';
import { Meters } from '../platform/metrics.ts';
import { formatSize } from '../platform/size.ts';
import type { UpstreamNames } from '../registry/repository.ts';
import { openBudgets } from './budget/budgets.ts';
import type { ClusterCore, ClusterCoreOptions, JoiningCore } from './cluster/join-cluster.ts';
import type { ServedToPeers } from './cluster/peer-server.ts';
import { coreApplication, peerApplication } from './endpoints.ts';
import { CacheLimit, type MaxSize } from './eviction/cache-limit.ts';
import { CacheSpace } from './eviction/cache-space.ts';
import { sweep } from './eviction/sweep.ts';
import { createGatewayCaches } from './gateway-caches.ts';
import { type Hosted, type HostedInCluster, type HostedOptions, openHosted } from './hosted/hosted.ts';
import { measureHosted } from './hosted/hosted-metrics.ts';
import { type CoreLimits, STANDARD_LIMITS } from './limits.ts';
import { countEvicted, countStale, countUpstreamRequests, measureCore } from './metrics.ts';
import { createOperations } from './operations.ts';
import { limitBandwidths } from './pull/bandwidth.ts';
import { BoundedDownloads } from './pull/bounded-downloads.ts';
import { CacheWrites } from './pull/cache-writes.ts';
import { BlobPull } from './pull/pull-blob.ts';
import { DocumentPull } from './pull/pull-document.ts';
import { ManifestPull } from './pull/pull-manifest.ts';
import { ReferrersPull } from './pull/pull-referrers.ts';
import { RecentPulls } from './pull/recent-pulls.ts';
import { ReferrersCache } from './pull/referrers-cache.ts';
import { RepositoryLinks } from './pull/repository-links.ts';
import { scrub } from './store/scrub.ts';
import { openStore, type Store } from './store/store.ts';
import { createRegistryClient } from './upstream/registry-client.ts';
import { createTransport } from './upstream/transport.ts';
import type { UpstreamOptions } from './upstream/upstream.ts';
import type { PullsLeft } from './upstream/upstream-accounts.ts';
import { lookAtUpstream } from './upstream-check.ts';

export interface CoreOptions {
  /** The path of the core's unix socket. */
  readonly socket: string;
  /** The directory of the cache. */
  readonly directory: string;
  readonly upstreams: readonly UpstreamOptions[];
  readonly egress?: EgressOptions;
  /** Both are in milliseconds. */
  readonly tagFreshness: number;
  readonly staleIfError: number;
  readonly maxSize: MaxSize;
  /** The time in milliseconds; 0 means for ever. */
  readonly unusedFor: number;
  /**
   * Milliseconds for which the cache keeps content that an upstream has deleted; if absent, it keeps the
   * content as long as it is used.
   */
  readonly keepDeleted?: number;
  /** The cluster that this core belongs to; absent if it works alone. */
  readonly cluster?: ClusterCoreOptions;
  /** The hosted repositories; absent if nothing is hosted. */
  readonly hosted?: HostedOptions;
  readonly log: Logger;
  /** True if the log must say at once which upstreams cannot be reached. The core starts nevertheless. */
  readonly lookAtUpstreams?: boolean;
  readonly clock?: Clock;
  readonly limits?: CoreLimits;
}

export interface RunningCore extends AsyncDisposable {
  /** Reads the credentials again. */
  reload(): Promise<void>;
}

export async function startCore(options: CoreOptions): Promise<RunningCore> {
  const { log, clock = systemClock, upstreams, tagFreshness, staleIfError } = options;
  await using stack = new AsyncDisposableStack();
  const cluster = options.cluster && stack.use(await join(options.cluster, options));
  const store = stack.use(await openStore(options.directory, log, clock, cluster));
  const limits = options.limits ?? STANDARD_LIMITS;
  const meters = stack.use(new Meters('core'));
  const transport = createTransport({
    limits,
    log,
    observe: countUpstreamRequests(meters),
    ...(options.egress && { egress: options.egress }),
  });
  const stated = new Map(
    upstreams.flatMap(({ host, quota }) => (quota === undefined ? [] : [[host, quota]])),
  );
  const budgets = stack.use(
    openBudgets({ file: store.budgetFile, stated, clock, log, shared: cluster?.counts }),
  );
  const pullsLeft: PullsLeft = (upstream, account) => budgets.left(upstream, account);
  const client = stack.use(
    createRegistryClient({ upstreams, transport, budgets, pullsLeft, limits, clock, log }),
  );
  const links = new RepositoryLinks({
    index: store.index,
    client,
    clock,
    log,
    staleIfError,
    keepDeleted: options.keepDeleted ?? Number.POSITIVE_INFINITY,
    revalidationDeadline: limits.revalidation,
  });
  const limit = new CacheLimit({ maxSize: options.maxSize, store });
  log.info(
    { maxSize: options.maxSize, directory: options.directory },
    `the cache may grow to ${formatSize(await limit.reported())}`,
  );
  const sweeping = stack.use(
    sweep({
      store,
      limit,
      clock,
      log,
      unusedFor: options.unusedFor,
      onEvicted: countEvicted(meters),
      interval: limits.sweepEvery,
      afterGrowth: limits.sweepAfterGrowth,
    }),
  );
  const makeRoom = (bytes: number) => sweeping.now(bytes);
  const space = new CacheSpace({ content: store.content, limit, makeRoom, log });
  const probe = async () => {
    // A full disk may be full of content that can be evicted.
    await sweeping.now();
    await store.probe();
    await space.check();
  };
  const writes = stack.use(new CacheWrites({ probe, probeEvery: limits.probeCacheEvery, log }));
  if (store.failure !== undefined) writes.failed(store.failure);
  store.index.onFailure = (error) => writes.failed(error);
  stack.use(scrub({ store, clock, log }));
  if (cluster?.objects !== undefined) stack.use(cluster.objects.keep(store));
  const dependencies = { store, client, budgets, links, writes, space, limits, clock, log };
  const blobs = new BlobPull({
    ...dependencies,
    sources: cluster?.sources,
    budgets: new BoundedDownloads({ budgets, limits, clock }),
    bandwidths: limitBandwidths(upstreams, clock),
  });
  const referrers = new ReferrersCache({ store, links, clock, staleIfError });
  const hosted = stack.use(await openHosting(options, cluster, { store, blobs, clock }));
  const names: UpstreamNames = {
    upstreams: new Set(upstreams.map(({ host }) => host)),
    self: new Set(),
    ...(options.hosted && { hosted: new Set(options.hosted.namespaces.map(({ name }) => name)) }),
  };
  if (hosted !== undefined) measureHosted(meters, hosted);
  await measureNodes(meters, cluster);
  measureCore(meters, { ...options, limit, store, client, budgets, transport, writes, blobs });
  const onStale = countStale(meters);
  const recent = new RecentPulls(clock);
  const stopping = new AbortController();
  const app = coreApplication({
    names,
    manifests: new ManifestPull({
      ...dependencies,
      sources: cluster?.sources,
      referrers,
      tagFreshness,
      staleIfError,
      revalidationDeadline: limits.revalidation,
    }),
    blobs,
    documents: new DocumentPull({ index: store.index, client, links, clock, log, staleIfError }),
    referrers: new ReferrersPull({ client, links, log, memory: referrers, deadline: limits.question }),
    recent,
    gatewayCaches: createGatewayCaches({ store, recent, names }),
    stopping: stopping.signal,
    operations: createOperations({
      store,
      limit,
      client,
      transport,
      writes,
      upstreams,
      names,
      budgets,
      hosted,
      cluster,
      onStale,
      clock,
      egress: options.egress,
      limits,
      staleIfError,
    }),
    metrics: meters,
    ...(hosted && { hosted, sendToOwner: cluster?.uploadOwners.send }),
    openCachedBlob: async (from, digest, access) => {
      const { link, visible } = await links.known(from, 'blob', digest, access);
      return link !== undefined && visible === 'visible' ? store.content.open(digest) : undefined;
    },
    log,
  });
  stack.use(await serveOnSocket(options.socket, app.callback()));
  stack.use(cluster?.followPurges(store, (digest) => blobs.running(digest) !== undefined));
  stack.use(await serveNodes(cluster, { content: store.content, blobs, hosted, names, log }));
  // These end first: without connections to upstreams the fills end at once, and so do the requests that wait
  // for them.
  stack.use(blobs);
  stack.use(transport);
  stack.defer(() => blobs.abandon());
  stack.defer(() => stopping.abort());
  if (options.lookAtUpstreams === true) {
    const { egress } = options;
    const signal = stopping.signal;
    for (const upstream of upstreams)
      void lookAtUpstream({ upstream, egress, transport, client, limits, signal }, log);
  }
  const running = stack.move();
  return {
    reload: () => client.reload(),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** Loads the client of the database only where there is one. */
async function join(options: ClusterCoreOptions, core: JoiningCore): Promise<ClusterCore> {
  const { joinCluster } = await import('./cluster/join-cluster.ts');
  return joinCluster(options, core);
}

interface UsedByHosting {
  readonly store: Store;
  readonly blobs: BlobPull;
  readonly clock: Clock;
}

/** Opens the hosted repositories. Resolves to undefined if nothing is hosted. */
async function openHosting(
  { hosted, log }: CoreOptions,
  cluster: ClusterCore | undefined,
  used: UsedByHosting,
): Promise<Hosted | undefined> {
  return hosted && openHosted(hosted, log, used.clock, cluster && inCluster(cluster, used));
}

/** @throws if the cluster has no object store, which the configuration refuses */
function inCluster(
  { objects, uploadOwners, hostedDatabase, hostedDuty, purgeCopies }: ClusterCore,
  { store, blobs }: UsedByHosting,
): HostedInCluster {
  if (objects === undefined) throw new Error('a cluster hosts repositories only with cluster.objects');
  return {
    owner: uploadOwners.own,
    database: hostedDatabase,
    duty: hostedDuty,
    openContent: (database, files) =>
      objects.openHostedObjects({ database, files, cache: store.content, downloads: blobs, purgeCopies }),
  };
}

async function measureNodes(meters: Meters, cluster: ClusterCore | undefined): Promise<void> {
  if (cluster === undefined) return;
  const { measureCluster } = await import('./cluster/cluster-metrics.ts');
  measureCluster(meters, cluster);
}

interface ServedToNodes extends Pick<ServedToPeers, 'content'> {
  readonly blobs: BlobPull;
  readonly hosted: Hosted | undefined;
  readonly names: UpstreamNames;
  readonly log: Logger;
}

/** Serves the other nodes, if there are any. */
async function serveNodes(
  cluster: ClusterCore | undefined,
  { content, blobs, hosted, names, log }: ServedToNodes,
): Promise<AsyncDisposable | undefined> {
  const uploads = hosted && peerApplication({ hosted, names, log });
  return cluster?.serve({ content, running: (digest) => blobs.running(digest), uploads });
}
