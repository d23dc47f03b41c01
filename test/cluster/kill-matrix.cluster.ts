/**
 * What becomes of a download if the core that does it is killed or frozen at each point of it, with none, one
 * and two nodes that follow. No client waits longer than the table of failures in docs/cluster.md says, and
 * the upstream sends nothing again that another node has.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { request } from 'node:https';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { assertBytes } from '../support/assert-bytes.ts';
import { imageOf } from '../support/image.ts';
import { type RunningMirror, signalIfRunning } from '../support/running-mirror.ts';
import { starvedFor } from '../support/starved-for.ts';
import { waitFor } from '../support/wait-for.ts';
import { pullFrom, TestNodes } from './support/test-nodes.ts';

const SIZE = 2_000_000;
/** The last bytes, which a gateway passes on only when the digest is right. */
const LAST = 64 * 1024;
/** The longest stall of a client in milliseconds, as docs/cluster.md has it. */
const LONGEST_STALL = { SIGKILL: 1_000, SIGSTOP: 5_000 } as const;

let cluster: TestNodes;

before(async () => {
  cluster = await TestNodes.start();
  await cluster.add('zoe');
});

after(() => cluster[Symbol.asyncDispose]());

type Point = 'before the headers' | 'in the middle' | 'in the last 64 KiB' | 'after the end';

/** Stops the first download at a point until `gate` opens. */
function stopAt(point: Point, gate: Promise<void>): void {
  const { hub } = cluster;
  if (point === 'before the headers') hub.plant('cdn', /^GET/, { kind: 'after', action: () => gate }, 1);
  else if (point !== 'after the end')
    hub.plant(
      'cdn',
      /^GET/,
      { kind: 'pause', at: point === 'in the middle' ? SIZE / 2 : SIZE - LAST / 2, gate },
      1,
    );
}

/** A client that asks again until it has all bytes. */
class Client {
  at = 0;
  /** Its longest wait for the next bytes, in milliseconds in which the programs may run. */
  stall = 0;
  readonly body: Promise<Buffer>;
  readonly #pieces: Buffer[] = [];
  #last = now();

  constructor(node: RunningMirror, token: string, blob: string) {
    this.body = this.#pull(node, token, blob);
  }

  async #pull(node: RunningMirror, token: string, blob: string): Promise<Buffer> {
    const ca = await readFile(path.join(node.home, 'certs/ca.crt'), 'utf8');
    const options = { host: 'localhost', port: node.port, ca, agent: false, path: `/v2/${blob}` };
    await waitFor(async () => {
      const range = this.at > 0 ? { range: `bytes=${this.at}-` } : {};
      const asked = request({ ...options, headers: { authorization: `Bearer ${token}`, ...range } }).end();
      try {
        const [response] = await once(asked, 'response');
        if (response.statusCode === (this.at > 0 ? 206 : 200))
          for await (const piece of response) this.#receive(piece);
        else response.resume();
      } catch {
        // It asks again for the rest.
      }
      return this.at >= SIZE;
    });
    return Buffer.concat(this.#pieces);
  }

  #receive(piece: Buffer): void {
    this.stall = Math.max(this.stall, now() - this.#last);
    this.#last = now();
    this.#pieces.push(piece);
    this.at += piece.length;
  }
}

/** Milliseconds that pass only while this process gets a CPU when it wants one. */
function now(): number {
  return performance.now() - starvedFor();
}

async function signalCore(signal: NodeJS.Signals): Promise<number> {
  const [pid] = await cluster.node(0).pids('core');
  process.kill(pid ?? assert.fail(), signal);
  return pid ?? assert.fail();
}

/** Pushes an image to the Hub, and lets every node know its manifest. */
async function publish() {
  const { hub } = cluster;
  hub.heal();
  hub.isLimited = false;
  const image = imageOf({ size: SIZE });
  const digest = image.layers[0] ?? assert.fail();
  hub.push('acme/app', 'latest', image);
  const token = await cluster.login(1, 'zoe');
  for (const node of cluster.nodes)
    await waitFor(async () => {
      const manifest = pullFrom(node, token, `acme/app/manifests/${image.digest}`);
      return (await manifest.catch(() => undefined))?.status === 200;
    });
  return {
    bytes: image.blobs.get(digest) ?? assert.fail(),
    pull: (index: number) => new Client(cluster.node(index), token, `acme/app/blobs/${digest}`),
    downloads: () => hub.log.filter(({ server, path: at }) => server === 'cdn' && at.includes(digest)),
  };
}

/** Resolves when the download has come to a point, and what has come of it is on the nodes that follow. */
async function reach(
  point: Point,
  { downloads }: Pick<Awaited<ReturnType<typeof publish>>, 'downloads'>,
  own: Client,
  following: readonly Client[],
): Promise<void> {
  if (point === 'after the end') await own.body;
  if (point !== 'in the middle' && point !== 'in the last 64 KiB') return;
  const come = point === 'in the middle' ? SIZE / 2 : SIZE - LAST;
  await waitFor(() => (downloads()[0]?.bytes ?? 0) >= come);
  await waitFor(() => following.every(({ at }) => at >= come - LAST));
}

const POINTS: readonly Point[] = [
  'before the headers',
  'in the middle',
  'in the last 64 KiB',
  'after the end',
];
for (const signal of ['SIGKILL', 'SIGSTOP'] as const)
  for (const point of POINTS)
    for (const followers of [0, 1, 2])
      test(`${signal} ${point}, with ${followers} followers`, async () => {
        const published = await publish();
        const { bytes, pull, downloads } = published;
        const gate = Promise.withResolvers<void>();
        stopAt(point, gate.promise);
        const own = pull(0);
        await waitFor(() => downloads().length === 1);
        const following = [1, 2].slice(0, followers).map(pull);
        await reach(point, published, own, following);
        const pid = await signalCore(signal);
        // What no other node has is sent again.
        const lacking = (downloads()[0]?.bytes ?? 0) - Math.max(0, ...following.map(({ at }) => at));
        const again = lacking > 2 * LAST ? lacking : 0;
        try {
          // A download that nobody follows is asked for by the client itself, which another node answers.
          const others = followers > 0 ? following : [pull(1)];
          for (const { body } of others) assertBytes(await body, bytes);
          const stall = Math.max(...others.map((client) => client.stall));
          process.stdout.write(`# ${signal} ${point}, ${followers}: stall ${Math.round(stall)} ms\n`);
          assert.ok(stall <= LONGEST_STALL[signal], `a client waited for ${stall} ms`);
        } finally {
          if (signal === 'SIGSTOP') signalIfRunning(pid, 'SIGCONT');
        }
        // A core that wakes up has lost its lease, and ends its own download.
        await waitFor(() => downloads()[0]?.status !== 0);
        gate.resolve();
        assertBytes(await own.body, bytes);
        const sent = downloads().map((entry) => entry.bytes);
        const total = sent.reduce((sum, of) => sum + of, 0);
        assert.ok(total <= 1.05 * SIZE + again, `downloads of ${sent} bytes`);
      });
