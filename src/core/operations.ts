import type { Clock } from '../platform/clock.ts';
import { DatabaseUnavailable } from '../platform/database-unavailable.ts';
import type { EgressOptions } from '../platform/egress/proxy-rules.ts';
import type { CacheState } from '../protocol/core-api.ts';
import { parseReference } from '../registry/reference.ts';
import { resolveRepository, type UpstreamNames } from '../registry/repository.ts';
import { accountReports } from './budget/account-reports.ts';
import type { Budgets } from './budget/budgets.ts';
import type { ClusterCore } from './cluster/join-cluster.ts';
import type { CacheLimit } from './eviction/cache-limit.ts';
import type { Hosted } from './hosted/hosted.ts';
import { type CoreLimits, VISIBILITY_FRESH_FOR } from './limits.ts';
import type { CacheWrites } from './pull/cache-writes.ts';
import type { Operations } from './routes/operations.ts';
import { purge } from './store/purge.ts';
import type { Store } from './store/store.ts';
import type { RegistryClient } from './upstream/registry-client.ts';
import type { Transport } from './upstream/transport.ts';
import type { UpstreamOptions } from './upstream/upstream.ts';
import { type AccountReport, largestQuota, worstCredential } from './upstream/upstream-accounts.ts';
import { allSteps, wantedManifest } from './upstream-check.ts';

export interface OperationsOptions {
  readonly store: Store;
  readonly limit: Pick<CacheLimit, 'reported'>;
  readonly client: RegistryClient;
  readonly transport: Transport;
  readonly writes: CacheWrites;
  readonly upstreams: readonly UpstreamOptions[];
  readonly names: UpstreamNames;
  readonly budgets: Pick<Budgets, 'report' | 'statedQuota' | 'used'>;
  /** Absent if nothing is hosted. */
  readonly hosted?: Hosted | undefined;
  /** Absent if this core works alone. */
  readonly cluster?: Pick<ClusterCore, 'nodes' | 'isConnected' | 'objects' | 'purge'> | undefined;
  readonly clock: Clock;
  readonly egress: EgressOptions | undefined;
  readonly limits: CoreLimits;
  /** The time in milliseconds. */
  readonly staleIfError: number;
  /** It is called for each stale answer, with its age in seconds. */
  readonly onStale: (age: number) => void;
}

/** Creates the operations of the core for operators. */
export function createOperations(options: OperationsOptions): Operations {
  const { store, limit, client, transport, writes, upstreams, names } = options;
  const { budgets, hosted, cluster, onStale, clock, staleIfError } = options;
  const answers: Record<CacheState, number> = {
    hit: 0,
    revalidated: 0,
    fill: 0,
    joined: 0,
    stale: 0,
    bypass: 0,
  };
  return {
    answered(cache, age) {
      answers[cache]++;
      if (age !== undefined) onStale(age);
    },
    async status() {
      const { blobs, bytes, repositories } = await store.index.stats();
      return {
        cache: {
          blobs,
          bytes,
          maxSize: await limit.reported(),
          repositories,
          unwritten: writes.unwritten,
          writable: !writes.isFailing,
          error: writes.failure ?? null,
        },
        answers: { ...answers },
        budget: { error: budgets.report().failure },
        ...(hosted && {
          hosted: { error: hosted.database.failure?.message ?? null, uploads: hosted.uploads.size },
        }),
        ...(cluster && { cluster: clusterStatus(cluster) }),
        upstreams: upstreams.map(({ host, url }) => {
          const accounts = accountReports(client, budgets, host);
          const named = accounts.filter(({ isNamed }) => isNamed);
          return {
            host,
            trouble: transport.trouble(url)?.detail ?? null,
            credential: worstCredential(accounts),
            quota: largestQuota(accounts) ?? null,
            ...(named.length > 0 && { accounts: named.map(accountStatus) }),
          };
        }),
      };
    },
    budget: () => budgets.report(),
    used: (asked) => budgets.used(asked),
    async repositories() {
      const entries = await store.index.repositories();
      // A repository that was public too long ago counts as unknown: nobody gets its content, or its name,
      // before the upstream confirms it.
      const publicSince = clock() - VISIBILITY_FRESH_FOR - staleIfError;
      return entries.map(({ visibility, visibilityCheckedAt = 0, ...entry }) => {
        const isKnown = visibility === 'private' || visibilityCheckedAt > publicSince;
        return { ...entry, visibility: isKnown ? (visibility ?? 'unknown') : 'unknown' };
      });
    },
    async purge(written, reference) {
      const repository = resolveRepository(written, [], names);
      const parsed = reference === null ? undefined : parseReference(reference);
      if (repository === undefined || (reference !== null && parsed === undefined)) return undefined;
      // Without the database the other nodes would not remove their copies, and nobody would know.
      if (cluster?.isConnected() === false) throw new DatabaseUnavailable(new Error('it does not answer'));
      return purge(store, repository.name, parsed, cluster?.purge);
    },
    async steps(host, image) {
      const upstream = upstreams.find((one) => one.host === host);
      const wanted = image === null ? undefined : wantedManifest(image, host, names);
      if (upstream === undefined || (image !== null && wanted === undefined)) return undefined;
      return allSteps({ ...options, upstream }, wanted);
    },
    check() {
      return Promise.all(
        upstreams.map(async ({ host }) => {
          const started = performance.now();
          const checked = await client.check(host);
          return { host, ...checked, milliseconds: Math.round(performance.now() - started) };
        }),
      );
    },
  };
}

function clusterStatus({
  nodes,
  isConnected,
  objects,
}: Pick<ClusterCore, 'nodes' | 'isConnected' | 'objects'>) {
  const { id } = nodes.own;
  return {
    node: id,
    error: isConnected() ? null : 'the database of the cluster does not answer',
    draining: nodes.all.some((node) => node.id === id && node.isDraining),
    alive: nodes.all.filter(({ isAlive }) => isAlive).length,
    nodes: nodes.all.length,
    ...(objects && { objects: { error: objects.trouble ?? null, pending: objects.pending } }),
  };
}

function accountStatus({ name, credential, quota }: AccountReport) {
  return { name, credential, quota: quota ?? null };
}
