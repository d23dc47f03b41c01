import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type FileEntry, readTar } from './archive.ts';
import type { Release } from './release-facts.ts';

/** Makes the npm package in `directory`, and returns its path. */
export function packForNpm({ root, version }: Release, directory: string): string {
  execFileSync('npm', ['pack', '--pack-destination', directory], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return path.join(directory, `hubgate-${version}.tgz`);
}

/** What a dependency needs when it runs, and its licence. */
const RUNS = /\.(?:js|cjs|mjs|json)$|(?:^|\/)(?:licen[cs]e|notice|copying)[^/]*$/i;
const DEVELOPMENT = /\/(?:tests?|benchmarks?|examples?|\.github)\//;

/**
 * Returns the files of the npm package, without what no program of this machine's architecture reads: tests,
 * sources, type declarations, and native code for other machines.
 */
export async function programFiles(file: string): Promise<FileEntry[]> {
  const entries = await readTar(readFileSync(file));
  const native = `/prebuilds/linux-${process.arch}/`;
  return entries.flatMap((entry) => {
    if (entry.kind !== 'file') return [];
    const at = entry.path.slice('package/'.length);
    const isNative = at.endsWith('.node') && at.includes(native) && !at.includes('musl');
    const isKept = !at.startsWith('node_modules/') || isNative || (RUNS.test(at) && !DEVELOPMENT.test(at));
    const mode = at === 'bin/hubgate.cjs' ? 0o755 : 0o644;
    return isKept ? [{ ...entry, path: at, mode }] : [];
  });
}
