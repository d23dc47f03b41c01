import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import path from 'node:path';
import { pipeline } from 'node:stream';
import { test } from 'node:test';
import { cacheAnswers } from '../../src/gateway/clients/caching-core-client.ts';
import type { CoreAnswer } from '../../src/gateway/clients/core-client.ts';
import { openLocalCoreClient } from '../../src/gateway/clients/local-core-client.ts';
import { ChunkCache } from '../../src/gateway/delivery/chunk-cache.ts';
import { DELIVERY } from '../../src/gateway/limits.ts';
import { CORE_HEADERS } from '../../src/protocol/core-api.ts';
import { parseReference } from '../../src/registry/reference.ts';
import { DOCKER_HUB, repositoryAt } from '../../src/registry/repository.ts';
import { FakeHub } from '../support/fake-hub.ts';
import { imageOf } from '../support/image.ts';
import { ACCOUNT, QUIET, TestCore } from '../support/test-core.ts';
import { waitFor } from '../support/wait-for.ts';

/** A way to a core on which questions and answers can be held up; it tells what went through. */
async function slowWayTo(core: TestCore) {
  const way = {
    asked: [] as string[],
    /** Answers to pulls. */
    hold: undefined as Promise<void> | undefined,
    /** Reports of what was given out of memory. */
    holdReports: undefined as Promise<void> | undefined,
  };
  async function* heldReports(reports: AsyncIterable<Buffer>) {
    for await (const report of reports) {
      await way.holdReports;
      yield report;
    }
  }
  const server = createServer(async (asked, response) => {
    const { url = '', method, headers } = asked;
    way.asked.push(`${method} ${url}`);
    const held = url.startsWith('/pull/') ? way.hold : undefined;
    const forwarded = request(
      { socketPath: path.join(core.directory, 'core.sock'), path: url, method, headers },
      async (answer) => {
        await held;
        response.writeHead(answer.statusCode ?? 500, answer.headers);
        answer.pipe(response);
      },
    );
    response.on('close', () => forwarded.destroy());
    forwarded.on('error', () => response.destroy());
    if (url === '/hits') pipeline(asked, heldReports, forwarded, () => {});
    else asked.pipe(forwarded);
  });
  const socket = path.join(core.directory, 'way.sock');
  server.listen(socket);
  await once(server, 'listening');
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return Object.assign(way, { socket, [Symbol.dispose]: close });
}

const REFERENCE = parseReference('latest') ?? assert.fail();
const REPOSITORY = repositoryAt(DOCKER_HUB, 'alpine') ?? assert.fail();
const LATEST = { kind: 'manifest', repository: REPOSITORY, reference: REFERENCE } as const;

/** A gateway's memory of a core's answers, with a slow way between them. */
async function start() {
  await using stack = new AsyncDisposableStack();
  const hub = stack.use(await FakeHub.start());
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  const image = imageOf();
  hub.push('library/alpine', 'latest', image);
  hub.push('library/other', 'latest', imageOf());
  const core = stack.use(await TestCore.start(hub));
  const way = stack.use(await slowWayTo(core));
  const chunks = new ChunkCache();
  const direct = openLocalCoreClient({
    socket: way.socket,
    directory: path.join(core.directory, 'data'),
    chunks,
  });
  const options = { log: QUIET, clock: () => core.now, chunks, blobs: 256 };
  const remembering = stack.use(await cacheAnswers(direct, options));
  const close = stack.move();
  const pull = () => remembering.pull(LATEST, { method: 'GET', private: false, caller: 'ana' });
  const asked = () => way.asked.filter((one) => one.includes('/manifests/')).length;
  await waitFor(async () => {
    const before = asked();
    await pull();
    return asked() === before;
  });
  const dispose = () => close.disposeAsync();
  return { core, way, image, remembering, pull, asked, [Symbol.asyncDispose]: dispose };
}

test('an answer that was looked up before something was withdrawn is not remembered after it', async () => {
  await using parts = await start();
  const { core, way, pull, asked } = parts;
  // Past its freshness it is confirmed, which is not remembered; and while the next answer is on its way,
  // something is withdrawn.
  core.now += 61_000;
  await pull();
  const gate = Promise.withResolvers<void>();
  way.hold = gate.promise;
  const states = () => way.asked.filter((one) => one.includes('/generation')).length;
  const [before, pulling] = [states(), pull()];
  await core.ask('library/other/manifests/latest');
  assert.equal(await core.purge('docker.io/library/other'), 200);
  await waitFor(() => states() > before);
  gate.resolve();
  way.hold = undefined;
  assert.equal((await pulling).kind, 'manifest');

  const late = asked();
  await pull();
  assert.ok(asked() > late, 'it was remembered');
});

test('what a pull may spend is looked up only if the core is asked', async () => {
  await using parts = await start();
  const { remembering, asked } = parts;
  let lookedUp = 0;
  const spending = () => {
    lookedUp++;
    return {};
  };
  const pull = (reference: string) =>
    remembering.pull(
      { ...LATEST, reference: parseReference(reference) ?? assert.fail() },
      { method: 'GET', private: false, caller: 'ana', spending },
    );
  const before = asked();
  await pull('latest');
  assert.deepEqual([asked() - before, lookedUp], [0, 0]);
  await pull('3.20');
  assert.deepEqual([asked() - before, lookedUp], [1, 1]);
});

test('what is asked of the core does not overtake the report of what was given before it', async () => {
  await using parts = await start();
  const { way, image, remembering, pull } = parts;
  const gate = Promise.withResolvers<void>();
  way.holdReports = gate.promise;
  const given = await pull();
  const digest = image.config ?? assert.fail();
  const pulling = remembering.pull(
    { kind: 'blob', repository: REPOSITORY, digest },
    { method: 'HEAD', private: false, caller: 'ana' },
  );
  // Were the blob asked for at once, the core would hear of it before this.
  await remembering.repositories({});
  gate.resolve();
  const head = await pulling;
  assert.equal(head.kind, 'blob-head');
  assert.ok(given.accounting?.pull instanceof Promise, 'it was not answered from the cache');
  assert.equal(head.accounting?.pull, await given.accounting.pull);
});

/** A blob that the core has, and of which nobody has asked this memory yet. */
async function cachedBlob({ core, way, image, remembering }: Awaited<ReturnType<typeof start>>) {
  const digest = image.layers[0] ?? assert.fail();
  await waitFor(async () => {
    const { headers } = await core.ask(`library/alpine/blobs/${digest}`);
    return headers[CORE_HEADERS.cache] === 'hit';
  });
  return {
    pullBlob: () =>
      remembering.pull({ kind: 'blob', repository: REPOSITORY, digest }, { method: 'GET', private: false }),
    asked: () => way.asked.filter((one) => one.includes('/blobs/')).length,
    bytes: image.blobs.get(digest) ?? assert.fail(),
  };
}

async function read(answer: CoreAnswer): Promise<Buffer> {
  assert.equal(answer.kind, 'blob');
  await using source = (answer as CoreAnswer & { kind: 'blob' }).source;
  const chunk = (await source.chunk?.(0, DELIVERY.chunk)) ?? assert.fail('it is not shared');
  return chunk.bytes;
}

test('a crowd that comes for the same blob asks the core once, and reads it in the same chunks', async () => {
  await using parts = await start();
  const { pullBlob, asked, bytes } = await cachedBlob(parts);
  const answers = await Promise.all(Array.from({ length: 20 }, pullBlob));
  assert.equal(asked(), 1);
  const chunks = await Promise.all(answers.map(read));
  for (const chunk of chunks) assert.ok(chunk.equals(bytes));
  assert.equal(new Set(chunks.map(({ buffer }) => buffer)).size, 1);
});

test('whoever waits for the answer to another’s question does so for a moment only', async () => {
  await using parts = await start();
  const { pullBlob, asked, bytes } = await cachedBlob(parts);
  const gate = Promise.withResolvers<void>();
  parts.way.hold = gate.promise;
  const hanging = pullBlob();
  await waitFor(() => asked() > 0);
  parts.way.hold = undefined;
  assert.ok((await read(await pullBlob())).equals(bytes));
  gate.resolve();
  assert.ok((await read(await hanging)).equals(bytes));
});
