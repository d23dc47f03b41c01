/**
 * The measurements of a process, in Prometheus' terms. Each role has its own `Meters`, and sends a snapshot
 * as JSON to the gateway that is scraped, which prints the snapshots of all roles as one text.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { type Aggregator, AggregatorRegistry, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { z } from 'zod';

/** The way in which values of several processes with the same labels are combined; absent: they are added. */
type Together = Extract<Aggregator, 'sum' | 'min' | 'max'>;

/** The snapshot of a process's meters. */
export const METRICS_SNAPSHOT = z.array(
  z.object({
    name: z.string(),
    help: z.string(),
    type: z.enum(['counter', 'gauge', 'histogram']),
    aggregator: z.enum(['sum', 'min', 'max']),
    values: z.array(
      z.object({
        value: z.number(),
        labels: z.record(z.string(), z.union([z.string(), z.number()])),
        metricName: z.string().optional(),
      }),
    ),
  }),
);
export type MetricsSnapshot = z.output<typeof METRICS_SNAPSHOT>;

export const METRICS_CONTENT_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

/** Reads values, each with its labels, at each scrape. */
type ReadValues = () => readonly MetricValue[] | Promise<readonly MetricValue[]>;

export interface MetricValue {
  readonly value: number;
  readonly labels?: Readonly<Record<string, string>>;
}

interface MeterOptions {
  readonly labels?: readonly string[];
  readonly together?: Together;
}

const NANOSECONDS = 1e9;

/**
 * The meters of one process. Labels must be few and known beforehand, because each combination of them is
 * stored for ever.
 */
export class Meters implements Disposable {
  readonly #registry = new Registry();
  readonly #readers: (() => Promise<void>)[] = [];
  /**
   * The delay is sampled at each turn of the event loop, because a timer would repeatedly wake an idle
   * process.
   */
  readonly #loopDelay = monitorEventLoopDelay({ samplePerIteration: true });

  /** @param role the role of this process, which is a label of the process metrics */
  constructor(role: string) {
    this.#loopDelay.enable();
    // The turn in which the histogram is enabled would count the time spent waiting for work.
    setImmediate(() => this.#loopDelay.reset());
    this.#measureProcess(role);
  }

  counter(name: string, help: string, labels: readonly string[] = []): Counter {
    return new Counter({ name, help, labelNames: [...labels], registers: [this.#registry] });
  }

  gauge(name: string, help: string, { labels = [], together = 'sum' }: MeterOptions = {}): Gauge {
    return new Gauge({
      ...{ name, help, labelNames: [...labels], aggregator: together, registers: [this.#registry] },
    });
  }

  /** @param bounds the upper bounds of the buckets, in ascending order */
  histogram(
    name: string,
    help: string,
    bounds: readonly number[],
    labels: readonly string[] = [],
  ): Histogram {
    return new Histogram({
      ...{ name, help, buckets: [...bounds], labelNames: [...labels], registers: [this.#registry] },
    });
  }

  /** Adds a gauge that is read at each scrape. A value that cannot be read is left out. */
  readGauge(name: string, help: string, read: ReadValues, options: MeterOptions = {}): void {
    const gauge = this.gauge(name, help, options);
    this.#readers.push(() => readInto(gauge, read, (labels, value) => gauge.set(labels, value)));
  }

  /** Adds a counter that is read at each scrape, because something else counts it. */
  readCounter(name: string, help: string, read: ReadValues, labels: readonly string[] = []): void {
    const counter = this.counter(name, help, labels);
    this.#readers.push(() => readInto(counter, read, (of, value) => counter.inc(of, value)));
  }

  async snapshot(): Promise<MetricsSnapshot> {
    await Promise.all(this.#readers.map((read) => read()));
    return METRICS_SNAPSHOT.parse(await this.#registry.getMetricsAsJSON());
  }

  #measureProcess(role: string): void {
    const labels = { role };
    const delay = this.#loopDelay;
    const readDelay = () => {
      const seconds = { p99: delay.percentile(99) / NANOSECONDS, max: delay.max / NANOSECONDS };
      delay.reset();
      return Object.entries(seconds).map(([statistic, value]) => ({ value, labels: { role, statistic } }));
    };
    this.readGauge(
      'hubgate_event_loop_delay_seconds',
      'How long a turn of the event loop kept others waiting since the last scrape, of several processes the longest',
      readDelay,
      { labels: ['role', 'statistic'], together: 'max' },
    );
    this.readGauge(
      'hubgate_resident_memory_bytes',
      'Memory of the processes of a role',
      () => [{ value: process.memoryUsage.rss(), labels }],
      { labels: ['role'] },
    );
    const readCpu = () => {
      const { user, system } = process.cpuUsage();
      return [{ value: (user + system) / 1e6, labels }];
    };
    this.readCounter(
      'hubgate_cpu_seconds_total',
      'CPU time of the processes of a role',
      readCpu,
      Object.keys(labels),
    );
  }

  [Symbol.dispose](): void {
    this.#loopDelay.disable();
  }
}

/** Reads a meter. One that cannot be read must not make the scrape of the others fail. */
async function readInto(
  meter: Counter | Gauge,
  read: ReadValues,
  set: (labels: Record<string, string>, value: number) => void,
): Promise<void> {
  const readings = await Promise.try(read).catch(() => []);
  meter.reset();
  // A meter without labels would show a zero.
  meter.remove({});
  for (const { value, labels = {} } of readings) set(labels, value);
}

/**
 * Combines the snapshots of several processes into one. Values of the same name and labels are combined as
 * their meter says.
 */
export function mergeSnapshots(snapshots: readonly MetricsSnapshot[]): Promise<MetricsSnapshot> {
  return aggregated(snapshots)
    .getMetricsAsJSON()
    .then((metrics) => METRICS_SNAPSHOT.parse(metrics));
}

/** Combines the snapshots in the text format of Prometheus. */
export function formatSnapshots(snapshots: readonly MetricsSnapshot[]): Promise<string> {
  return aggregated(snapshots).metrics();
}

function aggregated(snapshots: readonly MetricsSnapshot[]): Registry {
  return AggregatorRegistry.aggregate([...snapshots]);
}

/** Returns the metrics that only ever grow. The others are only meaningful at the moment of the snapshot. */
export function countersOf(snapshot: MetricsSnapshot): MetricsSnapshot {
  return snapshot.filter(({ type }) => type !== 'gauge');
}
