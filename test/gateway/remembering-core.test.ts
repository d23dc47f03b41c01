import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { openBuiltinCore } from '../../src/gateway/handover/builtin-core.ts';
import { ChunkCache } from '../../src/gateway/handover/chunk-cache.ts';
import type { CoreNotes } from '../../src/gateway/handover/core.ts';
import { rememberAnswers } from '../../src/gateway/handover/remembering-core.ts';
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
  const server = createServer(async (asked, response) => {
    const { url = '', method, headers } = asked;
    way.asked.push(`${method} ${url}`);
    if (url === '/served') await way.holdReports;
    const held = url.startsWith('/v2/') ? way.hold : undefined;
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
    asked.pipe(forwarded);
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
  const direct = openBuiltinCore({ socket: way.socket, directory: core.directory, chunks });
  const options = { log: QUIET, clock: () => core.now, chunks };
  const remembering = stack.use(await rememberAnswers(direct, options));
  const close = stack.move();
  const pull = (notes: CoreNotes = {}) =>
    remembering.pull(LATEST, { method: 'GET', private: false, caller: 'ana', notes });
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
  // Past its freshness it is confirmed, which is not remembered; and while the next answer is on its way, something is withdrawn.
  core.now += 61_000;
  await pull();
  const gate = Promise.withResolvers<void>();
  way.hold = gate.promise;
  const states = () => way.asked.filter((one) => one.includes('/state')).length;
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

test('what is asked of the core does not overtake the report of what was given before it', async () => {
  await using parts = await start();
  const { way, image, remembering, pull } = parts;
  const gate = Promise.withResolvers<void>();
  way.holdReports = gate.promise;
  const given: CoreNotes = {};
  await pull(given);
  const digest = image.config ?? assert.fail();
  const notes: CoreNotes = {};
  const pulling = remembering.pull(
    { kind: 'blob', repository: REPOSITORY, digest },
    { method: 'HEAD', private: false, caller: 'ana', notes },
  );
  // Were the blob asked for at once, the core would hear of it before this.
  await remembering.repositories();
  gate.resolve();
  assert.equal((await pulling).kind, 'blob-head');
  assert.equal(notes.pull, await given.pull);
});
