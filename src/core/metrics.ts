/**
 * The metrics of the core. Upstreams are labels, because the configuration names them. The hosts that they
 * redirect to are not, and neither is anything that a client requested.
 */
import type { Meters, MetricValue } from '../platform/metrics.ts';
import { accountReports } from './budget/account-reports.ts';
import { measureBudgets } from './budget/budget-metrics.ts';
import type { Budgets } from './budget/budgets.ts';
import type { CacheLimit } from './eviction/cache-limit.ts';
import type { Evicted } from './eviction/sweep.ts';
import type { CacheWrites } from './pull/cache-writes.ts';
import type { BlobPull } from './pull/pull-blob.ts';
import type { Store } from './store/store.ts';
import type { Quota } from './upstream/quota.ts';
import type { RegistryClient } from './upstream/registry-client.ts';
import type { ObserveSent, SentRequest, Transport } from './upstream/transport.ts';
import type { UpstreamOptions } from './upstream/upstream.ts';

/** The buckets in seconds. */
const LATENCIES = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const HOUR = 3600;
const AGES = [60, 600, HOUR, 6 * HOUR, 24 * HOUR, 3 * 24 * HOUR, 7 * 24 * HOUR];

/** The statuses that have a meaning of their own. Others are counted by their class. */
const TELLING = new Set([401, 403, 404, 429]);

/** Counts the requests to upstreams, to their token services, and to the storage that they redirect to. */
export function countUpstreamRequests(meters: Meters): ObserveSent {
  const requests = meters.counter(
    'hubgate_upstream_requests_total',
    'Requests to upstreams, by what of them was asked and what it answered, or why it did not',
    ['upstream', 'part', 'status'],
  );
  const latency = meters.histogram(
    'hubgate_upstream_request_duration_seconds',
    'Time until the headers of an upstream’s answer were there',
    LATENCIES,
    ['upstream', 'part'],
  );
  return (sent) => {
    const of = askedPart(sent);
    requests.inc({ ...of, status: statusOf(sent.outcome) });
    latency.observe(of, sent.milliseconds / 1000);
  };
}

function askedPart({ request: { upstream, isForToken }, redirected }: SentRequest): {
  readonly upstream: string;
  readonly part: 'registry' | 'token' | 'storage';
} {
  if (isForToken === true) return { upstream: upstream.host, part: 'token' };
  // The target of the redirect does not matter, because the request is part of a request to the upstream.
  return { upstream: upstream.host, part: redirected ? 'storage' : 'registry' };
}

function statusOf(outcome: SentRequest['outcome']): string {
  if (typeof outcome === 'string') return outcome;
  return TELLING.has(outcome) ? String(outcome) : `${Math.floor(outcome / 100)}xx`;
}

export function countEvicted(meters: Meters): (evicted: Evicted) => void {
  const blobs = meters.counter('hubgate_evicted_blobs_total', 'Manifests and blobs that had to go');
  const bytes = meters.counter('hubgate_evicted_bytes_total', 'Their bytes');
  return (evicted) => {
    blobs.inc(evicted.blobs);
    bytes.inc(evicted.bytes);
  };
}

export function countStale(meters: Meters): (seconds: number) => void {
  const ages = meters.histogram(
    'hubgate_stale_answer_age_seconds',
    'Of answers that could not be confirmed upstream: how long ago they last were',
    AGES,
  );
  return (seconds) => ages.observe(seconds);
}

export interface MeasuredCore {
  readonly limit: Pick<CacheLimit, 'bytes'>;
  readonly upstreams: readonly UpstreamOptions[];
  readonly store: Store;
  readonly client: RegistryClient;
  readonly budgets: Pick<Budgets, 'report' | 'statedQuota'>;
  readonly transport: Transport;
  readonly writes: CacheWrites;
  readonly blobs: BlobPull;
}

/** Registers the values that are read when somebody asks. */
export function measureCore(meters: Meters, core: MeasuredCore): void {
  measureCache(meters, core);
  measureDisk(meters, core.store);
  measureFills(meters, core.blobs);
  measureUpstreams(meters, core);
  measureBudgets(meters, core.budgets);
}

function measureCache(meters: Meters, { store, limit, writes }: MeasuredCore): void {
  const stats = async (name: 'blobs' | 'bytes' | 'repositories') => one((await store.index.stats())[name]);
  meters.readGauge('hubgate_cache_blobs', 'Manifests and blobs in the cache', () => stats('blobs'));
  meters.readGauge('hubgate_cache_bytes', 'Their bytes', () => stats('bytes'));
  meters.readGauge('hubgate_cache_repositories', 'Repositories of which something is cached', () =>
    stats('repositories'),
  );
  meters.readGauge(
    'hubgate_cache_max_bytes',
    'How large the cache may be: cache.maxSize, or what `auto` comes to at present',
    async () => one(await limit.bytes()),
  );
  meters.readGauge('hubgate_cache_writable', '0 while the cache cannot be written, and is passed by', () =>
    one(writes.isFailing ? 0 : 1),
  );
  meters.readCounter('hubgate_cache_unwritten_total', 'Answers that could not be cached', () =>
    one(writes.unwritten),
  );
}

function measureDisk(meters: Meters, { content }: Store): void {
  const read = async (bytes: 'free' | 'total') => one((await content.space())[bytes]);
  meters.readGauge('hubgate_cache_disk_free_bytes', 'Free for the core on the disk of the cache', () =>
    read('free'),
  );
  meters.readGauge('hubgate_cache_disk_bytes', 'The size of that disk', () => read('total'));
}

function measureFills(meters: Meters, blobs: BlobPull): void {
  meters.readGauge('hubgate_fills_under_way', 'Downloads into the cache at this moment', () =>
    one(blobs.fills.underWay),
  );
  const read = () => {
    const { whole, broken } = blobs.fills;
    return Object.entries({ whole, broken }).map(([outcome, value]) => ({ value, labels: { outcome } }));
  };
  meters.readCounter('hubgate_fills_total', 'Downloads into the cache that have ended, and how', read, [
    'outcome',
  ]);
}

function measureUpstreams(meters: Meters, { upstreams, client, budgets, transport }: MeasuredCore): void {
  const labels = ['upstream'];
  const ofAccount = ['upstream', 'account'];
  // The only account of an upstream has no name, and its metrics have no such label.
  const accounts = () =>
    upstreams.flatMap(({ host }) =>
      accountReports(client, budgets, host).map(({ name, isNamed, ...account }) => {
        return { ...account, of: { upstream: host, ...(isNamed && { account: name }) } };
      }),
    );
  meters.readGauge(
    'hubgate_upstream_breaker_open',
    '1 while an upstream is left alone, because it failed again and again',
    () =>
      upstreams.map(({ host, url }) => {
        return { value: transport.trouble(url) === undefined ? 0 : 1, labels: { upstream: host } };
      }),
    { labels },
  );
  meters.readGauge('hubgate_upstream_waiting_requests', 'Requests that wait for a connection', () =>
    one(transport.waiting + client.waiting),
  );
  meters.readGauge(
    'hubgate_upstream_credential_ok',
    '1 while an upstream takes the configured credential, 0 while it refuses it; absent while that is not known',
    () =>
      accounts().flatMap(({ credential, of }) => {
        if (credential !== 'accepted' && credential !== 'refused') return [];
        return [{ value: credential === 'accepted' ? 1 : 0, labels: of }];
      }),
    { labels: ofAccount },
  );
  const quota = (name: string, help: string, read: (quota: Quota) => number) =>
    meters.readGauge(
      name,
      help,
      () =>
        accounts().flatMap(({ quota: said, of }) =>
          said === undefined ? [] : [{ value: read(said), labels: of }],
        ),
      { labels: ofAccount },
    );
  quota('hubgate_upstream_quota_limit', 'Pulls that the upstream allows in a window', ({ limit }) => limit);
  quota('hubgate_upstream_quota_remaining', 'Of these, what it said was left', (said) => said.remaining);
  quota('hubgate_upstream_quota_window_seconds', 'How long a window is', ({ window }) => window);
  quota(
    'hubgate_upstream_quota_read_timestamp_seconds',
    'When the upstream said so',
    ({ readAt }) => readAt / 1000,
  );
}

function one(value: number): readonly MetricValue[] {
  return [{ value }];
}
