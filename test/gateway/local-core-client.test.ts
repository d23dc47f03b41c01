import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { cacheAnswers } from '../../src/gateway/clients/caching-core-client.ts';
import type { PullOptions } from '../../src/gateway/clients/core-client.ts';
import { openLocalCoreClient } from '../../src/gateway/clients/local-core-client.ts';
import { ChunkCache } from '../../src/gateway/delivery/chunk-cache.ts';
import { CORE_HEADERS } from '../../src/protocol/core-api.ts';
import { parseReference } from '../../src/registry/reference.ts';
import { DOCKER_HUB, repositoryAt } from '../../src/registry/repository.ts';
import { QUIET } from '../support/test-core.ts';

const LATEST = {
  kind: 'manifest',
  repository: repositoryAt(DOCKER_HUB, 'alpine') ?? assert.fail(),
  reference: parseReference('latest') ?? assert.fail(),
} as const;
const OPTIONS: PullOptions = { method: 'GET', private: false };
const GENERATION = '"one"';

/** A core that gives one answer to every pull. */
async function answering(status: number, headers: OutgoingHttpHeaders, body = '{}') {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-'));
  const socket = path.join(directory, 'core.sock');
  const asked: IncomingHttpHeaders[] = [];
  const known = Promise.withResolvers<void>();
  const server = createServer((request, response) => {
    const { url = '' } = request;
    if (url.startsWith('/generation')) {
      // It stays the same, so a client that knows it waits.
      if (request.headers['if-none-match'] === GENERATION) known.resolve();
      else response.writeHead(200, { etag: GENERATION }).end('"one"');
      return;
    }
    asked.push(request.headers);
    response.writeHead(status, { ...headers, 'content-length': body.length }).end(body);
  });
  server.listen(socket);
  await once(server, 'listening');
  return {
    ...{ socket, directory, asked },
    /** Resolves when a client knows the generation of the cache. */
    known: known.promise,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await rm(directory, { recursive: true });
    },
  };
}

const REFUSAL = {
  kind: 'limit',
  id: 'ci',
  unit: 'pulls',
  used: 60,
  max: 60,
  windowMs: 21_600_000,
  untilMs: 1,
} as const;

test('a request says what the pull may spend, and a refusal why it may not', async () => {
  await using core = await answering(429, {
    [CORE_HEADERS.error]: 'TOO_MANY_PULLS',
    [CORE_HEADERS.quotaRefusal]: JSON.stringify(REFUSAL),
    'retry-after': '300',
  });
  await using client = openLocalCoreClient(core);
  const spending = () => ({
    budgets: '[{"limit":"ci","key":"ci"}]',
    reserved: '{"share":0.2,"ids":["prod"]}',
  });
  const refused = await client.pull(LATEST, { ...OPTIONS, spending });
  const { budgets, reserved } = spending();
  const [first] = core.asked;
  assert.deepEqual([first?.[CORE_HEADERS.budgets], first?.[CORE_HEADERS.reserved]], [budgets, reserved]);
  assert.deepEqual(refused.kind === 'refused' && [refused.error, refused.quota], ['TOO_MANY_PULLS', REFUSAL]);
});

test('a request without limits has no header for them, and a refusal that cannot be read has no reason', async () => {
  await using core = await answering(429, {
    [CORE_HEADERS.error]: 'TOO_MANY_PULLS',
    [CORE_HEADERS.quotaRefusal]: '{"kind":"mood"}',
  });
  await using client = openLocalCoreClient(core);
  const refused = await client.pull(LATEST, { ...OPTIONS, spending: () => ({}) });
  const [first = {}] = core.asked;
  assert.equal(CORE_HEADERS.budgets in first || CORE_HEADERS.reserved in first, false);
  assert.equal(refused.kind === 'refused' && refused.quota, undefined);
});

test('an earlier manifest that is served because of a quota is not cached for others', async () => {
  await using core = await answering(200, {
    'content-type': 'application/vnd.oci.image.manifest.v1+json',
    'docker-content-digest': `sha256:${'a'.repeat(64)}`,
    [CORE_HEADERS.cache]: 'stale',
    [CORE_HEADERS.held]: 'limit:ci',
    [CORE_HEADERS.maxAgeMs]: '60000',
    [CORE_HEADERS.generation]: 'one',
  });
  const chunks = new ChunkCache();
  const local = openLocalCoreClient({ ...core, chunks });
  await using client = await cacheAnswers(local, { log: QUIET, clock: Date.now, chunks, blobs: 1 });
  await core.known;
  for (let count = 1; count <= 2; count++) {
    const answer = await client.pull(LATEST, OPTIONS);
    assert.equal(answer.kind === 'manifest' && answer.held, 'limit:ci');
    assert.equal(core.asked.length, count);
  }
});
