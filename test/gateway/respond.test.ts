import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { respond } from '../../src/gateway/http/respond.ts';

/** Returns the headers that a client gets from an answer with these. */
async function sentHeaders(headers: object): Promise<IncomingMessage['headers']> {
  await using server = createServer((_, response) => {
    respond(response, 204, { ...headers });
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const response = await new Promise<IncomingMessage>((resolve, reject) =>
    request({ port, host: '127.0.0.1', agent: false }, resolve).on('error', reject).end(),
  );
  response.resume();
  return response.headers;
}

test('invariant 6: a header of an upstream reaches no client, even if it comes with a spread', async () => {
  const upstream = { 'set-cookie': 'a=b', server: 'nginx', 'x-amz-request-id': '7' };
  const headers = await sentHeaders({ etag: '"x"', 'oci-filters-applied': 'artifactType', ...upstream });
  assert.equal(headers.etag, '"x"');
  assert.equal(headers['oci-filters-applied'], 'artifactType');
  assert.equal(headers['docker-distribution-api-version'], 'registry/2.0');
  for (const name of Object.keys(upstream)) assert.equal(headers[name], undefined, name);
});
