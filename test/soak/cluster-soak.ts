/**
 * `npm run soak:cluster -- --kills 200` kills, freezes and restarts the nodes of a cluster, its database and
 * its object store that often, with and without an object store, and then looks whether everything that was
 * published is there. `--seed N` makes other choices.
 */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { parseArgs } from 'node:util';

const ROOT = path.join(import.meta.dirname, '../..');

const { values } = parseArgs({
  options: { kills: { type: 'string', default: '200' }, seed: { type: 'string' } },
});
const env = {
  ...process.env,
  CLUSTER_EVENTS: values.kills,
  CRASH_SEED: values.seed ?? String(Date.now() % 1_000_000),
};
const prepared = spawnSync(process.execPath, ['test/cluster/prepare.ts'], { cwd: ROOT, stdio: 'inherit' });
const args = ['--test', '--test-reporter=spec', 'test/cluster/random.cluster.ts'];
const { status } = spawnSync(process.execPath, args, { cwd: ROOT, env, stdio: 'inherit' });
process.exitCode = prepared.status === 0 ? (status ?? 1) : 1;
