/**
 * The figures that the pages draw from the benchmarks are those of `bench/results`. Whoever measures again
 * sees here which sentences are old.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

const ROOT = path.join(import.meta.dirname, '../..');

interface Results {
  readonly rows: readonly {
    readonly case: string;
    readonly server: string;
    readonly samples: readonly Readonly<Record<string, number>>[];
  }[];
}

/** Returns the median of a figure of Hubgate. */
function measured(group: string, name: string, figure: string): number {
  const file = path.join(ROOT, 'bench/results', `${group}.json`);
  const { rows }: Results = JSON.parse(readFileSync(file, 'utf8'));
  const row = rows.find((one) => one.case === name && one.server === 'hubgate');
  const values = row?.samples.flatMap((sample) => sample[figure] ?? []).toSorted((a, b) => a - b) ?? [];
  const middle = values.length / 2;
  const low = values[Math.ceil(middle) - 1] ?? assert.fail(`${group}: ${name} has no ${figure}`);
  return (low + (values[Math.floor(middle)] ?? low)) / 2;
}

/** Rounds to two digits, as the pages do. */
function rounded(value: number): string {
  return Number(value.toPrecision(2)).toLocaleString('en');
}

const gigabytes = (name: string) => `${rounded(measured('blobs', name, 'MB/s') / 1000)} GB/s`;
const cost = (name: string) => rounded(measured('blobs', name, 'CPU s/GB'));
const LARGE = 'blob 256 MiB × 64';
const ORDINARY = 'blob 5 MiB × 8';
const manifests = rounded(measured('manifests', 'manifest by digest × 32', 'requests/s'));
const connections = rounded(measured('manifests', 'manifest by digest, new connections × 32', 'requests/s'));
const tokens = rounded(measured('tokens', 'token by service token', 'requests/s'));
const shared = rounded(measured('cold', 'cold 16 MiB × 200', 'seconds'));
const crowd = Math.round(measured('crowd', '500 clients at once', 'peak MiB'));
const larger = Math.ceil(measured('crowd', '1000 clients at once', 'peak MiB') / 100) * 100;
const idle = Math.round(measured('idle', 'idle', 'tree MiB'));
const writes = rounded(measured('cluster', 'the database', 'writes/s'));
const edit = (name: string) => (measured('edits', name, 'holds after ms') / 1000).toFixed(1);

const SENTENCES: Readonly<Record<string, readonly string[]>> = {
  'docs/performance.md': [
    `| cached layers of 256 MiB, 64 clients | ${gigabytes(LARGE)}, ${cost(LARGE)} CPU seconds a GB |`,
    `| cached layers of 5 MiB, 8 clients | ${gigabytes(ORDINARY)}, ${cost(ORDINARY)} CPU seconds a GB |`,
    `| cached manifests, 32 connections | ${manifests} a second |`,
    `| new TLS connections with a manifest, 32 clients | ${connections} a second |`,
    `| tokens | ${tokens} a second |`,
    `| a layer of 16 MiB that 200 clients want, uncached | one download, ${shared} s |`,
    `| 500 clients at once | no error, ${crowd} MiB at the peak |`,
    `| idle, after a first start | ${idle} MiB |`,
  ],
  'docs/sizing.md': [
    `| ${gigabytes(LARGE)}, ${cost(LARGE)} CPU seconds per GB |`,
    `| cached manifests, 32 connections | ${manifests} a second |`,
    `| new TLS connections, with a manifest each | ${connections} a second |`,
    `| tokens | ${tokens} a second |`,
    `| 500 clients that come at once | ${crowd} MiB of memory at the peak |`,
    `two CPUs and ${larger} MiB served 1,000 clients`,
    `[${idle} MiB](performance.md)`,
  ],
  'docs/cluster.md': [`One database took ${writes} writes a second`],
  'docs/policy.md': [
    `one of 10,000 rules after ${edit('all rules of 10,000')} to ${edit('one rule of 10,000')} s`,
    `one of 10,000 users after ${edit('one user of 10,000')} s`,
  ],
};

for (const [page, sentences] of Object.entries(SENTENCES))
  test(`${page} has the figures that were measured`, () => {
    const text = readFileSync(path.join(ROOT, page), 'utf8').replace(/\s+/g, ' ');
    assert.deepEqual(
      sentences.filter((sentence) => !text.includes(sentence)),
      [],
    );
  });
