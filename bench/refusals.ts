/**
 * Measures whether a caller can tell by the time of an answer whether something exists that they may not see.
 * It asks a gateway in turn for what exists and for what does not, and compares the times by Welch's t:
 * refused pulls of a repository that is cached and of one that is not there, and mounts of a blob that a
 * hosted repository has and of one that it does not have. Beyond 4.5 they count as different, as in Reparaz,
 * Balasch and Verbauwhede, "Dude, is my code constant time?" (2017).
 */
import { createHash } from 'node:crypto';
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
  policy: `allow:
  - { id: secret, pull: acme/secret, to: jin, private: true }
  - { id: base, push: base/**, to: jin }
  - { id: app, push: app/**, to: ana }`,
  users: ['ana', 'jin'],
  configuration: { hosted: { namespaces: { 'base/**': {}, 'app/**': {} } } },
});
const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: hubgate.ca });
const headers = { authorization: basic('ana', PASSWORD) };
const digestOf = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`;

// What exists is in the cache, and in a hosted repository.
await hubgate.ask('/v2/acme/secret/manifests/latest', { user: 'jin' });
const target = `/v2/base/os/blobs/uploads/?digest=${digestOf('secret')}`;
const { status: pushed } = await hubgate.ask(target, { method: 'POST', user: 'jin', send: 'secret' });
if (pushed !== 201) throw new Error(`the push of a blob: ${pushed}`);

type Existence = 'existing' | 'missing';

/** Each asks for something that the caller may not see, and returns the time in microseconds. */
const QUESTIONS: Readonly<Record<string, (of: Existence) => Promise<number>>> = {
  refused: async (of) => {
    const repository = of === 'existing' ? 'acme/secret' : 'acme/nowher';
    const begun = performance.now();
    const { status } = await hubgate.send({ path: `/v2/${repository}/manifests/latest`, headers, agent });
    const taken = performance.now() - begun;
    if (status !== 403) throw new Error(`${repository}: ${status}`);
    return taken * 1000;
  },
  mount: async (of) => {
    const digest = digestOf(of === 'existing' ? 'secret' : 'unknown');
    const path = `/v2/app/one/blobs/uploads/?mount=${digest}&from=base/os`;
    const begun = performance.now();
    const answer = await hubgate.send({ method: 'POST', path, headers, agent });
    const taken = performance.now() - begun;
    if (answer.status !== 202) throw new Error(`${path}: ${answer.status}`);
    // A subject has few uploads at a time.
    await hubgate.send({ method: 'DELETE', path: String(answer.headers.location), headers, agent });
    return taken * 1000;
  },
};

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function describe(values: readonly number[]) {
  // The longest times show only what the machine did meanwhile.
  const kept = values.toSorted((a, b) => a - b).slice(0, Math.floor(values.length * 0.99));
  const mean = kept.reduce((sum, value) => sum + value, 0) / kept.length;
  const variance = kept.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (kept.length - 1);
  return { count: kept.length, median: kept[kept.length >> 1] ?? 0, mean, variance };
}

for (const [question, time] of Object.entries(QUESTIONS)) {
  const times: Record<Existence, number[]> = { existing: [], missing: [] };
  for (let turn = -WARM_UP; turn < REQUESTS; turn++) {
    // Neither kind is always the first of a pair.
    const order = turn % 2 === 0 ? (['existing', 'missing'] as const) : (['missing', 'existing'] as const);
    for (const kind of order) {
      const taken = await time(kind);
      if (turn >= 0) times[kind].push(taken);
    }
  }
  const [existing, missing] = [describe(times.existing), describe(times.missing)];
  const error = Math.sqrt(existing.variance / existing.count + missing.variance / missing.count);
  const t = (existing.mean - missing.mean) / error;
  for (const [name, { median, mean, count }] of Object.entries({ existing, missing }))
    print(
      `${question}, ${name.padEnd(8)}  median ${median.toFixed(1)} µs  mean ${mean.toFixed(1)} µs  of ${count}`,
    );
  print(`Welch's t: ${t.toFixed(2)} (they differ beyond ±${DIFFERENT})`);
  if (Math.abs(t) > DIFFERENT) process.exitCode = 1;
}
agent.destroy();
