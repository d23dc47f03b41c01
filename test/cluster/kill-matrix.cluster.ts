/**
 * What becomes of a download if the core that does it is killed or frozen at each point of it. A core is
 * killed with none, one and two nodes that follow, and frozen with two. The longest stall of a client is
 * printed.
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
import { waitFor } from '../support/wait-for.ts';
import { pullFrom, TestNodes } from './support/test-nodes.ts';

const SIZE = 2_000_000;
/** The last bytes, which a gateway passes on only when the digest is right. */
const LAST = 64 * 1024;

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

/** The bytes of a client that asks again until it has them all, and its longest wait for the next bytes. */
async function pullOn(
  node: RunningMirror,
  token: string,
  blob: string,
): Promise<{ body: Buffer; stall: number }> {
  const pieces: Buffer[] = [];
  let [last, stall] = [performance.now(), 0];
  const ca = await readFile(path.join(node.home, 'certs/ca.crt'), 'utf8');
  let at = 0;
  await waitFor(async () => {
    const headers = { authorization: `Bearer ${token}`, ...(at > 0 && { range: `bytes=${at}-` }) };
    const options = { host: 'localhost', port: node.port, ca, agent: false, path: `/v2/${blob}`, headers };
    try {
      const asked = request(options).end();
      const [response] = await once(asked, 'response');
      if (response.statusCode !== (at > 0 ? 206 : 200)) {
        response.resume();
        return false;
      }
      for await (const piece of response) {
        stall = Math.max(stall, performance.now() - last);
        last = performance.now();
        pieces.push(piece);
        at += piece.length;
      }
    } catch {
      // It asks again for the rest.
    }
    return at >= SIZE;
  });
  return { body: Buffer.concat(pieces), stall };
}

async function signalCore(signal: NodeJS.Signals): Promise<number> {
  const [pid] = await cluster.node(0).pids('core');
  process.kill(pid ?? assert.fail(), signal);
  return pid ?? assert.fail();
}

for (const signal of ['SIGKILL', 'SIGSTOP'] as const)
  for (const point of ['before the headers', 'in the middle', 'in the last 64 KiB', 'after the end'] as const)
    for (const followers of signal === 'SIGKILL' ? [0, 1, 2] : [2])
      test(`${signal} ${point}, with ${followers} followers`, async () => {
        const { hub } = cluster;
        hub.heal();
        hub.isLimited = false;
        const image = imageOf({ size: SIZE });
        const digest = image.layers[0] ?? assert.fail();
        const blob = `acme/app/blobs/${digest}`;
        hub.push('acme/app', 'latest', image);
        const token = await cluster.login(1, 'zoe');
        for (const node of cluster.nodes)
          await waitFor(async () => {
            const answer = await pullFrom(node, token, `acme/app/manifests/${image.digest}`).catch(
              () => undefined,
            );
            return answer?.status === 200;
          });
        const entries = () =>
          hub.log.filter(({ server, path: at }) => server === 'cdn' && at.includes(digest));
        const gate = Promise.withResolvers<void>();
        stopAt(point, gate.promise);
        const own = pullOn(cluster.node(0), token, blob);
        await waitFor(() => entries().length === 1);
        const following = [1, 2].slice(0, followers).map((index) => pullOn(cluster.node(index), token, blob));
        if (point === 'after the end') await own;
        else if (point !== 'before the headers')
          await waitFor(
            () => (entries()[0]?.bytes ?? 0) >= (point === 'in the middle' ? SIZE / 2 : SIZE - LAST),
          );
        const pid = await signalCore(signal);
        try {
          const stalls: number[] = [];
          // A download that nobody follows is asked for by the client itself, which another node answers.
          const others = followers > 0 ? following : [pullOn(cluster.node(1), token, blob)];
          for (const { body, stall } of await Promise.all(others)) {
            assertBytes(body, image.blobs.get(digest));
            stalls.push(stall);
          }
          process.stdout.write(
            `# ${signal} ${point}, ${followers}: stall ${Math.round(Math.max(...stalls))} ms\n`,
          );
        } finally {
          if (signal === 'SIGSTOP') signalIfRunning(pid, 'SIGCONT');
          gate.resolve();
        }
        assertBytes((await own).body, image.blobs.get(digest));
        // A busy machine may miss a deadline of the nodes, so one more download than the second one is no
        // fault.
        const sent = entries().map(({ bytes }) => bytes);
        assert.ok(sent.length <= cluster.nodes.length, `downloads of ${sent} bytes`);
      });
