/** What package.json says is what other files say, and what it says in two places is the same. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import packageJson from '../../package.json' with { type: 'json' };

const ROOT = path.join(import.meta.dirname, '../..');

/** The places that name the version. Each group in parentheses must be the version. */
const PLACES: readonly (readonly [file: string, pattern: RegExp])[] = [
  ['package-lock.json', /^ {2}"version": "([^"]+)",$/m],
  ['package-lock.json', /^ {4}"": \{\n {6}"name": "hubgate",\n {6}"version": "([^"]+)",$/m],
  ['deploy/helm/hubgate/Chart.yaml', /^version: (\S+)$/m],
  ['deploy/helm/hubgate/Chart.yaml', /^appVersion: (\S+)$/m],
  ['compose.yaml', /^ +image: hubgate:(\S+)$/m],
  ['deploy/compose/separate.yaml', /^ +image: hubgate:(\S+)$/m],
  ['Dockerfile', /org\.opencontainers\.image\.version="([^"]+)"/],
  ['CHANGELOG.md', /^## (\d\S*)$/m],
];

test('the lock file, the chart, the images and the changelog name the version of package.json', () => {
  const named = PLACES.map(([file, pattern]) => [
    file,
    pattern.exec(readFileSync(path.join(ROOT, file), 'utf8'))?.[1],
  ]);
  assert.deepEqual(
    named,
    PLACES.map(([file]) => [file, packageJson.version]),
  );
});

test('the packages carry every package that the program needs', () => {
  assert.deepEqual(
    packageJson.bundleDependencies.toSorted(),
    Object.keys(packageJson.dependencies).toSorted(),
  );
});
