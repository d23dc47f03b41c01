import { spawnSync } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { Bench } from '../../bench.ts';
import { MIB } from '../../content.ts';

const ROOT = path.join(import.meta.dirname, '../../..');

/**
 * Starts a core that works alone, and prints how many bytes of which modules were loaded for it and for auth.
 */
const PROGRAM = `
  const { registerHooks } = await import('node:module');
  const ofCluster = /\\/node_modules\\/(?:pg|aws4fetch)|\\/src\\/(?:core\\/)?cluster\\/|\\/platform\\/postgres\\.ts|cluster-index/;
  let [cluster, all] = [0, 0];
  registerHooks({
    load: (url, context, next) => {
      const loaded = next(url, context);
      const bytes = loaded.source?.length ?? 0;
      all += bytes;
      if (ofCluster.test(url)) cluster += bytes;
      return loaded;
    },
  });
  const { startCore } = await import('./src/core/core.ts');
  await import('./src/auth/auth.ts');
  await import('./src/gateway/gateway.ts');
  const { createLogger } = await import('./src/platform/log.ts');
  const log = createLogger('bench', { level: 'error', format: 'json' });
  const directory = process.argv[1];
  const core = await startCore({
    socket: directory + '/core.sock', directory: directory + '/data', upstreams: [], tagFreshness: 1,
    staleIfError: 1, maxSize: 2 ** 30, unusedFor: 0, log,
  });
  await core[Symbol.asyncDispose]();
  console.log(JSON.stringify({ cluster, all }));
`;

/** Measures the source of the modules of a cluster that a start without one loads. */
export async function measureLoaded(bench: Bench): Promise<void> {
  const directory = path.join(bench.directory, 'loaded');
  await mkdir(directory);
  const args = ['--input-type=module', '--eval', PROGRAM, directory];
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  const { cluster, all } = JSON.parse(stdout);
  bench.record('cluster code in an embedded start', 'hubgate', {
    MiB: cluster / MIB,
    'MiB of all modules': all / MIB,
  });
}
