/**
 * Measures whether a caller can tell by the time of a refusal whether the repository exists. It asks a
 * gateway in turn for a repository that is cached and for one that does not exist, and compares the times by
 * Welch's t. Beyond 4.5 they count as different, as in Reparaz, Balasch and Verbauwhede, "Dude, is my code
 * constant time?" (2017).
 */
import { Agent } from 'node:https';
import { FakeHub } from '../test/support/fake-hub.ts';
import { imageOf } from '../test/support/image.ts';
import { ACCOUNT } from '../test/support/test-core.ts';
import { basic, PASSWORD, TestHubgate } from '../test/support/test-hubgate.ts';

const REQUESTS = Number(process.argv[2] ?? 10_000);
const WARM_UP = 500;
const DIFFERENT = 4.5;

await using hub = await FakeHub.start();
hub.accounts.push({ ...ACCOUNT, repositories: ['acme/secret'] });
hub.push('acme/secret', 'latest', imageOf(), { private: true });
await using hubgate = await TestHubgate.start(hub, {
  policy: 'allow: [{ pull: acme/secret, to: jin, private: true }]',
  users: ['ana', 'jin'],
});
const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: hubgate.ca });
// The repository exists, and is in the cache.
await hubgate.ask('/v2/acme/secret/manifests/latest', { user: 'jin' });

/** Returns the time of one request in microseconds. */
async function time(repository: string): Promise<number> {
  const headers = { authorization: basic('ana', PASSWORD) };
  const begun = performance.now();
  const { status } = await hubgate.send({ path: `/v2/${repository}/manifests/latest`, headers, agent });
  if (status !== 403) throw new Error(`${repository}: ${status}`);
  return (performance.now() - begun) * 1000;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

const times = { existing: [] as number[], missing: [] as number[] };
for (let turn = -WARM_UP; turn < REQUESTS; turn++) {
  // Neither kind is always the first of a pair.
  const order = turn % 2 === 0 ? (['existing', 'missing'] as const) : (['missing', 'existing'] as const);
  for (const kind of order) {
    const taken = await time(kind === 'existing' ? 'acme/secret' : 'acme/nowher');
    if (turn >= 0) times[kind].push(taken);
  }
}
agent.destroy();

function describe(values: readonly number[]) {
  // The longest times show only what the machine did meanwhile.
  const kept = values.toSorted((a, b) => a - b).slice(0, Math.floor(values.length * 0.99));
  const mean = kept.reduce((sum, value) => sum + value, 0) / kept.length;
  const variance = kept.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (kept.length - 1);
  return { count: kept.length, median: kept[kept.length >> 1] ?? 0, mean, variance };
}

const [existing, missing] = [describe(times.existing), describe(times.missing)];
const error = Math.sqrt(existing.variance / existing.count + missing.variance / missing.count);
const t = (existing.mean - missing.mean) / error;
for (const [name, { median, mean, count }] of Object.entries({ existing, missing }))
  print(
    `refused, ${name.padEnd(8)}  median ${median.toFixed(1)} µs  mean ${mean.toFixed(1)} µs  of ${count}`,
  );
print(`Welch's t: ${t.toFixed(2)} (they differ beyond ±${DIFFERENT})`);
process.exitCode = Math.abs(t) > DIFFERENT ? 1 : 0;
