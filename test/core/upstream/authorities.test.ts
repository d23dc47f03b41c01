import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { createTransport } from '../../../src/core/upstream/transport.ts';
import type { UpstreamOptions } from '../../../src/core/upstream/upstream.ts';
import { Deadline } from '../../../src/platform/scheduling/deadline.ts';
import type { UpstreamHost } from '../../../src/registry/repository.ts';
import { makeAuthority } from '../../support/certificates.ts';
import { QUIET, SHORT_LIMITS } from '../../support/test-core.ts';

const company = makeAuthority('company');
const { cert, key } = company.issue({
  commonName: 'localhost',
  altNames: [{ type: 2, value: 'localhost' }],
  usage: { serverAuth: true },
});
const server = createServer({ cert, key }, (_, response) => response.end());
let url: URL;

before(async () => {
  await once(server.listen(0), 'listening');
  url = new URL(`https://localhost:${(server.address() as AddressInfo).port}`);
});

after(() => {
  server.close();
  server.closeAllConnections();
});

test('the authorities of one upstream are trusted for that one only, and the reason names the setting', async () => {
  await using transport = createTransport({
    limits: { ...SHORT_LIMITS, connect: 30_000, headers: 30_000 },
    log: QUIET,
  });
  const ask = async (upstream: UpstreamOptions) => {
    using deadline = new Deadline(30_000);
    const answer = await transport.send({ method: 'GET', url, upstream, signal: deadline.signal });
    return answer.kind === 'unavailable' ? answer.failure.detail : answer.kind;
  };
  const host = 'registry.corp.example' as UpstreamHost;
  assert.equal(await ask({ host, url, authorities: [company.cert] }), 'ok');
  assert.match(await ask({ host, url }), /^localhost:\d+: its certificate .*upstreams\.<host>\.ca/);
  assert.equal(await ask({ host, url, authorities: [makeAuthority('other').cert, company.cert] }), 'ok');
});
