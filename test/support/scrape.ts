import assert from 'node:assert/strict';
import { ask } from './http.ts';

/** One scrape, parsed as Prometheus does. */
export interface Scrape {
  readonly text: string;
  /** The type of each metric, by its name. */
  readonly types: ReadonlyMap<string, string>;
  /** The values by name with labels, as they are written. */
  readonly series: ReadonlyMap<string, number>;
  /** Returns the labels that a metric has; without `le` for a histogram. */
  labelsOf(metric: string): readonly string[];
  /** Returns the sum of all series with this name and at least these labels; undefined if there are none. */
  value(name: string, labels?: Readonly<Record<string, string>>): number | undefined;
}

export async function scrape(port: number): Promise<Scrape> {
  const { status, headers, body } = await ask({ host: '127.0.0.1', port, agent: false, path: '/metrics' });
  assert.equal(status, 200);
  assert.match(String(headers['content-type']), /^text\/plain; version=0\.0\.4/);
  return readScrape(body.toString());
}

function readScrape(text: string): Scrape {
  const types = new Map<string, string>();
  const series = new Map<string, number>();
  for (const line of text.split('\n').filter((one) => one !== '')) {
    const type = /^# TYPE (\S+) (\S+)$/.exec(line);
    if (type !== null) types.set(type[1] ?? '', type[2] ?? '');
    if (line.startsWith('#')) continue;
    const value = /^([a-z_]+(?:\{.*\})?) (-?[\d.e+-]+)$/.exec(line) ?? assert.fail(line);
    assert.ok(!series.has(value[1] ?? ''), `twice: ${line}`);
    series.set(value[1] ?? '', Number(value[2]));
  }
  const ofMetric = (metric: string) => {
    const suffix = types.get(metric) === 'histogram' ? '(?:_bucket|_sum|_count)' : '';
    const name = new RegExp(`^${metric}${suffix}(?:\\{|$)`);
    return [...series.keys()].filter((one) => name.test(one));
  };
  return {
    text,
    types,
    series,
    labelsOf: (metric) => {
      const labels = ofMetric(metric).flatMap((one) => [...one.matchAll(/([a-z_]+)="/g)]);
      return [...new Set(labels.map(([, name]) => name ?? ''))].filter((name) => name !== 'le').sort();
    },
    value: (name, labels = {}) => {
      const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
      const values = [...series]
        .filter(([one]) => one.split('{')[0] === name && wanted.every((label) => one.includes(label)))
        .map(([, value]) => value);
      return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0);
    },
  };
}
