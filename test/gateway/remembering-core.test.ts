import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { openBuiltinCore } from '../../src/gateway/handover/builtin-core.ts';
import { ChunkCache } from '../../src/gateway/handover/chunk-cache.ts';
import { rememberAnswers } from '../../src/gateway/handover/remembering-core.ts';
import { parseReference } from '../../src/registry/reference.ts';
import { DOCKER_HUB, repositoryAt } from '../../src/registry/repository.ts';
import { FakeHub } from '../support/fake-hub.ts';
import { imageOf } from '../support/image.ts';
import { ACCOUNT, QUIET, TestCore } from '../support/test-core.ts';
import { waitFor } from '../support/wait-for.ts';

/** A way to a core on which one answer can be held up; it tells what went through. */
async function slowWayTo(core: TestCore) {
  const way = { asked: [] as string[], hold: undefined as Promise<void> | undefined };
  const server = createServer((asked, response) => {
    const { url = '', method, headers } = asked;
    way.asked.push(`${method} ${url}`);
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

test('an answer that was looked up before something was withdrawn is not remembered after it', async () => {
  await using hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  hub.push('library/alpine', 'latest', imageOf());
  hub.push('library/other', 'latest', imageOf());
  await using core = await TestCore.start(hub);
  using way = await slowWayTo(core);
  const chunks = new ChunkCache();
  const direct = openBuiltinCore({ socket: way.socket, directory: core.directory, chunks });
  await using remembering = await rememberAnswers(direct, { log: QUIET, clock: () => core.now, chunks });
  const reference = parseReference('latest') ?? assert.fail();
  const repository = repositoryAt(DOCKER_HUB, 'alpine') ?? assert.fail();
  const pull = () =>
    remembering.pull({ kind: 'manifest', repository, reference }, { method: 'GET', private: false });
  const asked = () => way.asked.filter((one) => one.includes('/manifests/')).length;

  for (const _ of ['fetched', 'here', 'remembered']) await pull();
  await waitFor(async () => {
    const before = asked();
    await pull();
    return asked() === before;
  });

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
