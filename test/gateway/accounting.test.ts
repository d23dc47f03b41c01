import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { PullFailed } from '../../src/gateway/clients/core-client.ts';
import { openLocalCoreClient } from '../../src/gateway/clients/local-core-client.ts';
import { CORE_HEADERS } from '../../src/protocol/core-api.ts';
import { sha256Of } from '../../src/registry/digest.ts';
import { parseReference } from '../../src/registry/reference.ts';
import { DOCKER_HUB, repositoryAt } from '../../src/registry/repository.ts';

const BYTES = Buffer.from('{}');
const ROUTE = {
  kind: 'manifest',
  repository: repositoryAt(DOCKER_HUB, 'alpine') ?? assert.fail(),
  reference: parseReference('latest') ?? assert.fail(),
} as const;

/** Pulls a manifest from a core that answers with `answers`, one for each request. */
async function pullFrom(answers: readonly RequestListener[]) {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-accounting-'));
  const socket = path.join(directory, 'core.sock');
  const left = [...answers];
  const server = createServer((request, response) => left.shift()?.(request, response));
  await once(server.listen(socket), 'listening');
  try {
    await using client = openLocalCoreClient({ socket, directory });
    return await client.pull(ROUTE, { method: 'GET', private: false, caller: 'ana' });
  } finally {
    server.close();
    server.closeAllConnections();
    await rm(directory, { recursive: true });
  }
}

function headersOf(pull: string, upstreamRequests: number) {
  return {
    'content-type': 'application/vnd.oci.image.manifest.v1+json',
    'docker-content-digest': sha256Of(BYTES),
    'content-length': BYTES.length,
    [CORE_HEADERS.cache]: 'fill',
    [CORE_HEADERS.pull]: pull,
    [CORE_HEADERS.upstreamRequests]: upstreamRequests,
    [CORE_HEADERS.countedPulls]: 1,
  };
}

test('an answer that is cut off and asked for again costs what both answers report', async () => {
  const answer = await pullFrom([
    (_, response) => {
      response.writeHead(200, headersOf('first', 2));
      response.write(BYTES.subarray(0, 1), () => response.destroy());
    },
    (_, response) => response.writeHead(200, headersOf('second', 3)).end(BYTES),
  ]);
  assert.equal(answer.kind, 'manifest');
  assert.deepEqual(answer.accounting, {
    pull: 'first',
    cost: { upstreamRequests: 5, countedPulls: 2 },
  });
});

test('a pull that fails keeps what the core accounted for before', async () => {
  const failing: RequestListener = (_, response) =>
    response.writeHead(500, { ...headersOf('first', 2), [CORE_HEADERS.error]: 'INTERNAL' }).end(BYTES);
  await assert.rejects(pullFrom([failing]), (error) => {
    assert.ok(error instanceof PullFailed, String(error));
    assert.deepEqual(error.accounting, {
      pull: 'first',
      cost: { upstreamRequests: 2, countedPulls: 1 },
    });
    return true;
  });
});
