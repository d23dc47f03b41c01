/**
 * A hundred pulls a second and a push go on while the database starts again, and while the nodes are upgraded
 * one after the other. No answer is beyond the table of
 * failures in docs/cluster.md. The pulls are asked at fixed times, whether earlier ones are answered or not.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import path from 'node:path';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Postgres } from '../../src/platform/postgres.ts';
import { assertBytes } from '../support/assert-bytes.ts';
import { digestOf } from '../support/hosted-core.ts';
import { imageOf, type TestImage } from '../support/image.ts';
import { waitFor } from '../support/wait-for.ts';
import { addAsLaterRelease } from './support/later-release.ts';
import { type ObjectServer, settingsOf, startVersity, whyNoServer } from './support/object-servers.ts';
import { PASSWORD, pullFrom, TestNodes } from './support/test-nodes.ts';

/** The milliseconds between two pulls. */
const EVERY = 10;
/** One of so many pulls is of content that no node has. */
const NEW = 100;
/** The pulls that are answered before the database goes, while it is away, and after it is back. */
const AROUND = 500;
/** The connections to each node, as those of one busy client. */
const CONNECTIONS = 16;
/** The push sends a piece for so many pulls. */
const PIECE_EVERY = 50;
const PIECE = 100_000;

const HOSTED = 'hosted: { namespaces: { "acme-internal/**": {}, "acme-limited/**": { quota: 10GiB } } }\n';
const POLICY = `version: 1
allow:
  - { id: all, pull: "**", to: authenticated, private: true }
  - { id: own, push: "acme-internal/**", to: zoe }
  - { id: limited, push: "acme-limited/**", to: zoe }
...
`;
const LOGIN = { authorization: `Basic ${Buffer.from(`zoe:${PASSWORD}`).toString('base64')}` };

interface Counts {
  asked: number;
  answered: number;
  /** The answers other than 200 to what is on the disks of the nodes. */
  readonly known: string[];
  /** Those to what is new, except for 503 with the time after which a client asks again. */
  readonly unknown: string[];
  refused: number;
}

interface Pushed {
  bytes: Buffer;
  readonly status: number | undefined;
  readonly retryAfter: string | undefined;
}

suite('a cluster under load', { skip: await whyNoServer('versitygw') }, () => {
  let s3: ObjectServer;
  let cluster: TestNodes;
  let token: string;
  let agents: readonly Agent[];
  /** The nodes to which the balancer sends clients. */
  let available = [0, 1, 2];
  const fresh: TestImage[] = [];

  before(async () => {
    s3 = await startVersity();
    cluster = await TestNodes.start(settingsOf(s3), POLICY, HOSTED);
    cluster.hub.isLimited = false;
    await cluster.add('zoe');
    token = await cluster.login(1, 'zoe');
    agents = await Promise.all(
      cluster.nodes.map(async ({ home }) => {
        const ca = await readFile(path.join(home, 'certs/ca.crt'), 'utf8');
        return new Agent({ keepAlive: true, maxSockets: CONNECTIONS, servername: 'localhost', ca });
      }),
    );
  });

  after(async () => {
    for (const agent of agents ?? []) agent.destroy();
    await cluster?.[Symbol.asyncDispose]();
    await s3?.[Symbol.asyncDispose]();
  });

  function chosen(turn: number): number {
    return available[turn % available.length] ?? assert.fail();
  }

  /** Pulls content that all nodes have, or for the first time an image that nobody has. */
  async function pullOne(turn: number, known: readonly string[], counts: Counts): Promise<void> {
    const index = chosen(turn);
    const image = turn % NEW === 0 ? fresh.pop() : undefined;
    const below = image === undefined ? known[turn % known.length] : `acme/app/manifests/${image.digest}`;
    counts.asked++;
    const answer = await cluster
      .node(index)
      .ask(`/v2/${below}`, { agent: agents[index], headers: { authorization: `Bearer ${token}` } })
      .catch((error: Error) => error);
    counts.answered++;
    if (!(answer instanceof Error) && answer.status === 200) return;
    const said = answer instanceof Error ? answer.message : `${answer.status} ${answer.body}`;
    if (image === undefined) counts.known.push(said);
    else if (!(answer instanceof Error) && answer.status === 503 && Number(answer.headers['retry-after']) > 0)
      counts.refused++;
    else counts.unknown.push(said);
  }

  /** Asks for each pull when it is due, and at once for those that a busy machine has missed. */
  async function load(known: readonly string[], counts: Counts, ended: AbortSignal): Promise<void> {
    const running = new Set<Promise<void>>();
    const begun = performance.now();
    while (!ended.aborted) {
      for (const due = (performance.now() - begun) / EVERY; counts.asked < due; ) {
        const pull: Promise<void> = pullOne(counts.asked, known, counts).finally(() => running.delete(pull));
        running.add(pull);
      }
      await delay(EVERY);
    }
    await Promise.all(running);
  }

  /** Begins to send a blob in chunks, without its length, as docker does. */
  async function beginPush(
    index: number,
    repository: string,
  ): Promise<{ readonly patch: ClientRequest; readonly location: string }> {
    const headers = { ...LOGIN, 'content-length': '0' };
    const begun = await cluster
      .node(index)
      .ask(`/v2/${repository}/blobs/uploads/`, { method: 'POST', headers });
    assert.equal(begun.status, 202, begun.body.toString());
    const location = String(begun.headers.location);
    const { port } = cluster.node(index);
    const patch = request({
      ...{ method: 'PATCH', host: 'localhost', port, path: location, agent: agents[index] },
      headers: { ...LOGIN, 'transfer-encoding': 'chunked', 'content-type': 'application/octet-stream' },
    });
    return { patch, location };
  }

  /** Pushes a blob slowly, until `isOver` says so. Resolves to its bytes and to the answer that counts. */
  async function pushSlowly(
    repository: string,
    counts: Counts,
    isOver: () => boolean,
    index = 0,
  ): Promise<Pushed> {
    const { patch, location } = await beginPush(index, repository);
    const answered = once(patch, 'response') as Promise<[IncomingMessage]>;
    const pieces: Buffer[] = [];
    while (!isOver()) {
      const piece = randomBytes(PIECE);
      pieces.push(piece);
      patch.write(piece);
      const until = counts.answered + PIECE_EVERY;
      await waitFor(() => isOver() || counts.answered >= until);
    }
    patch.end();
    const bytes = Buffer.concat(pieces);
    const [{ statusCode, headers }] = await answered;
    if (statusCode !== 202) return { bytes, status: statusCode, retryAfter: headers['retry-after'] };
    const put = await cluster.node(index).ask(`${location}?digest=${digestOf(bytes)}`, {
      ...{ method: 'PUT', headers: { ...LOGIN, 'content-length': '0' } },
    });
    return { bytes, status: put.status, retryAfter: put.headers['retry-after'] };
  }

  async function assertHosted(repository: string, bytes: Buffer): Promise<void> {
    for (const node of cluster.nodes)
      await waitFor(async () => {
        const answer = await node.ask(`/v2/${repository}/blobs/${digestOf(bytes)}`, { headers: LOGIN });
        if (answer.status === 200) assertBytes(answer.body, bytes);
        return answer.status === 200;
      });
  }

  /** Publishes images that no node has, and one that all have. Returns what is pulled of that one. */
  async function publish(): Promise<readonly string[]> {
    const image = imageOf({ size: 20_000 });
    cluster.hub.push('acme/app', 'latest', image);
    const byDigest = `acme/app/manifests/${image.digest}`;
    const known = [...Array.from({ length: 6 }, () => byDigest), `acme/app/blobs/${image.layers[0]}`];
    for (const node of cluster.nodes)
      for (const one of known) await waitFor(async () => (await pullFrom(node, token, one)).status === 200);
    for (let index = 0; index < 100; index++) {
      const next = imageOf({ size: 100 });
      cluster.hub.push('acme/app', `v${index}`, next);
      fresh.push(next);
    }
    return known;
  }

  test('a database that starts again costs what the table of failures says', async () => {
    const known = [...(await publish()), 'acme/app/manifests/latest'];
    const counts: Counts = { asked: 0, answered: 0, known: [], unknown: [], refused: 0 };
    const ending = new AbortController();
    let isPushOver = false;
    const begun = performance.now();
    const loading = load(known, counts, ending.signal);
    const pushing = Promise.all(
      ['acme-internal/app', 'acme-limited/app'].map((to) => pushSlowly(to, counts, () => isPushOver)),
    );
    pushing.catch(() => {});
    const more = async (pulls: number) => {
      const from = counts.answered;
      await waitFor(() => counts.answered >= from + pulls);
    };
    try {
      await more(AROUND);
      await cluster.server.stop();
      await more(AROUND);
      await cluster.server.start();
      await more(AROUND);
    } finally {
      isPushOver = true;
      ending.abort();
      await loading;
    }
    const seconds = (performance.now() - begun) / 1000;
    process.stdout.write(
      `# ${counts.asked} pulls asked, ${counts.answered} answered in ${seconds.toFixed(1)} s; ${counts.refused} of new content were told to wait\n`,
    );
    assert.deepEqual(counts.known, []);
    assert.deepEqual(counts.unknown, []);
    assert.equal(counts.answered, counts.asked);
    const [free, limited] = await pushing;
    assert.ok(free !== undefined && limited !== undefined);
    // Nothing of an upload needs the database until its end, except its share of a quota.
    assert.equal(free.status, 201);
    await assertHosted('acme-internal/app', free.bytes);
    if (limited.status !== 201) {
      assert.deepEqual({ ...limited, bytes: 0 }, { bytes: 0, status: 503, retryAfter: '5' });
      limited.bytes = (await pushSlowly('acme-limited/app', counts, () => true)).bytes;
    }
    await assertHosted('acme-limited/app', limited.bytes);
    const last = imageOf({ size: 100 });
    cluster.hub.push('acme/app', 'last', last);
    for (const node of cluster.nodes)
      await waitFor(async () => (await pullFrom(node, token, 'acme/app/manifests/last')).status === 200);
  });

  /** Restarts a node as docs/upgrade.md says, while the balancer sends clients to the others. */
  async function upgrade(index: number, more: () => Promise<void>): Promise<void> {
    const node = cluster.node(index);
    const isReady = async () => (await node.admin('/readyz')).status === 200;
    assert.equal((await node.run('cluster', 'drain')).code, 0);
    await waitFor(async () => !(await isReady()));
    available = available.filter((one) => one !== index);
    await more();
    assert.equal(await node.stop(), 0, node.output.slice(-2000));
    await node.startAgain();
    await waitFor(isReady);
    available = [...available, index];
    await more();
  }

  test('a rolling upgrade fails no pull and no push', async () => {
    const known = await publish();
    const counts: Counts = { asked: 0, answered: 0, known: [], unknown: [], refused: 0 };
    const more = async () => {
      const until = counts.asked + AROUND;
      await waitFor(() => counts.answered >= until);
    };
    const ending = new AbortController();
    const loading = load(known, counts, ending.signal);
    const pushed: Pushed[] = [];
    const during = async (index: number, task: () => Promise<void>) => {
      let isOver = false;
      const pushing = pushSlowly('acme-internal/app', counts, () => isOver, index);
      await task().finally(() => {
        isOver = true;
      });
      pushed.push(await pushing);
    };
    try {
      await using database = new Postgres({
        url: cluster.database,
        application: 'test',
        connections: 1,
        deadline: 10_000,
      });
      // A push goes on at a node that is not upgraded yet, and then at one that is.
      await during(2, async () => {
        await addAsLaterRelease(database);
        for (const index of [0, 1]) await upgrade(index, more);
      });
      await during(0, () => upgrade(2, more));
    } finally {
      ending.abort();
      await loading;
    }
    process.stdout.write(`# ${counts.answered} pulls during the upgrade\n`);
    assert.deepEqual([...counts.known, ...counts.unknown], []);
    assert.equal(counts.refused, 0);
    for (const { bytes, status } of pushed) {
      assert.equal(status, 201);
      await assertHosted('acme-internal/app', bytes);
    }
  });
});
