/**
 * The metrics that the admin listener serves to Prometheus: the sum of the gateways' metrics, and the
 * snapshots of auth and the core. If a role is down or hangs, only its part is missing from a scrape.
 */

import type { Logger } from '../../platform/log.ts';
import {
  formatSnapshots,
  METRICS_CONTENT_TYPE,
  Meters,
  type MetricsSnapshot,
} from '../../platform/metrics.ts';
import { Deadline } from '../../platform/scheduling/deadline.ts';
import type { AuthClient } from '../clients/auth-client.ts';
import type { CoreClient } from '../clients/core-client.ts';
import { METRICS_DEADLINES } from '../limits.ts';
import { measureRequests, type RequestMeters } from './requests.ts';
import { openWorkers, type WorkerPlace } from './workers.ts';

export interface Metrics extends RequestMeters, AsyncDisposable {
  readonly contentType: string;
  /** Resolves to Prometheus' text format. */
  text(): Promise<string>;
}

export interface MetricsOptions {
  readonly auth: AuthClient;
  readonly core: CoreClient;
  /** Absent if this gateway is the only one. */
  readonly worker?: { readonly place: WorkerPlace; readonly directory: string } | undefined;
  /**
   * Returns when the server's certificate ends, in milliseconds since the epoch; undefined while there is
   * none.
   */
  readonly certificateEnds: () => number | undefined;
  readonly log: Logger;
}

export async function createMetrics(options: MetricsOptions): Promise<Metrics> {
  const { auth, core, worker, certificateEnds, log } = options;
  await using stack = new AsyncDisposableStack();
  const meters = stack.use(new Meters('gateway'));
  meters.readGauge(
    'hubgate_certificate_expiry_timestamp_seconds',
    'When the certificate ends that the mirror shows to clients',
    () => {
      const ends = certificateEnds();
      return ends === undefined ? [] : [{ value: ends / 1000 }];
    },
    { together: 'min' },
  );
  const requests = measureRequests(meters);
  const workers = worker && stack.use(await openWorkers({ meters, ...worker, log }));
  const opened = stack.move();
  return {
    ...requests,
    contentType: METRICS_CONTENT_TYPE,
    text: async () => {
      const [gateways, ofAuth, ofCore] = await Promise.all([
        workers?.collect() ?? meters.snapshot().then((own) => ({ snapshots: [own], answering: 1 })),
        inTime(auth.metrics()),
        inTime(core.metrics()),
      ]);
      const up = [
        gauge('hubgate_auth_up', '1 while auth answers', ofAuth === 'down' ? 0 : 1),
        gauge('hubgate_core_up', '1 while the core answers', ofCore === 'down' ? 0 : 1),
        gauge('hubgate_gateways_up', 'Gateways that answer', gateways.answering),
        gauge('hubgate_gateways', 'Gateways that should run', worker?.place.count ?? 1),
      ];
      const snapshots = [...gateways.snapshots, up, ofAuth, ofCore];
      return formatSnapshots(snapshots.filter((one) => typeof one === 'object'));
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

async function inTime<T>(asking: Promise<T>): Promise<T | 'down'> {
  using deadline = new Deadline(METRICS_DEADLINES.role);
  return await deadline.bound(asking).catch(() => 'down' as const);
}

function gauge(name: string, help: string, value: number): MetricsSnapshot[number] {
  return { name, help, type: 'gauge', aggregator: 'sum', values: [{ value, labels: {} }] };
}
