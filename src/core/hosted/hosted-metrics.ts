import type { Meters, MetricValue } from '../../platform/metrics.ts';
import type { Hosted } from './hosted.ts';
import { HostedUnavailable } from './hosted-database.ts';

/** Registers what is hosted. The values are read when somebody asks. */
export function measureHosted(meters: Meters, { database, uploads, namespaces }: Hosted): void {
  meters.readGauge(
    'hubgate_hosted_usable',
    '0 while hosted names are refused, because their database cannot be used',
    () => [{ value: database.failure === undefined ? 1 : 0 }],
  );
  meters.readGauge('hubgate_hosted_uploads', 'Uploads under way', () => [{ value: uploads.size }]);
  const labels = ['namespace'];
  meters.readCounter(
    'hubgate_hosted_received_bytes_total',
    'The bytes of blobs that came by pushes and promotions, whether they were published or not',
    () => namespaces.map((of) => ({ value: uploads.receivedFor(of), labels: { namespace: of.name } })),
    labels,
  );
  const used = async (): Promise<readonly MetricValue[]> => {
    if (database.failure !== undefined) return [];
    const reading = database.read(function* (select) {
      const values: MetricValue[] = [];
      for (const { name } of namespaces) {
        const value = (yield* select.used.get(name))?.bytes ?? 0;
        values.push({ value, labels: { namespace: name } });
      }
      return values;
    });
    // The database of a cluster may be away. The other metrics are still of use.
    return reading.catch((error: Error) => {
      if (error instanceof HostedUnavailable) return [];
      throw error;
    });
  };
  meters.readGauge('hubgate_hosted_bytes', 'The bytes of what is hosted', used, { labels });
  const quotas = () =>
    namespaces.flatMap(({ name, quota }) =>
      quota === undefined ? [] : [{ value: quota, labels: { namespace: name } }],
    );
  meters.readGauge('hubgate_hosted_quota_bytes', 'The bytes that may be hosted', quotas, { labels });
}
