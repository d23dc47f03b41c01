/** The Helm chart as one file, as `helm package` makes it. */
import { globSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileEntry, gzipOf, tarOf } from './archive.ts';

const CHART = path.join(import.meta.dirname, '../../deploy/helm/hubgate');

export function chartArchive(time: Date): Promise<Buffer> {
  const files = globSync('**', { cwd: CHART }).filter((name) => statSync(path.join(CHART, name)).isFile());
  const entries = files.map((name) => fileEntry(`hubgate/${name}`, readFileSync(path.join(CHART, name))));
  return gzipOf(tarOf(entries, time));
}
