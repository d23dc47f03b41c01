/** Upstreams behind a proxy: their names mean nothing on this side of it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { readKeys } from '../../../src/auth/identity/federation/read-keys.ts';
import type { UpstreamOptions } from '../../../src/core/upstream/upstream.ts';
import type { EgressOptions, ProxyOptions } from '../../../src/platform/egress/proxy-rules.ts';
import { DOCKER_HUB } from '../../../src/registry/repository.ts';
import { makeAuthority } from '../../support/certificates.ts';
import { imageOf } from '../../support/image.ts';
import { sendJson, standInRegistry, standInStore, standInTokens } from '../../support/registry-handlers.ts';
import { StandInProxy } from '../../support/stand-in-proxy.ts';
import { SHORT_LIMITS, TestCore } from '../../support/test-core.ts';
import { basic } from '../../support/test-hubgate.ts';
import { type LoggedLine, testLog } from '../../support/test-log.ts';
import type { Handler } from '../../support/test-network.ts';

const HOSTS = ['hub.example', 'auth.hub.example', 'cdn.example', 'issuer.example', 'localhost'];
const PASSWORD = 'pr0xy-s3cret';
const LIMITS = { ...SHORT_LIMITS, connect: 30_000, headers: 30_000, question: 50_000, token: 40_000 };

const company = makeAuthority('company');
const pair = company.issue({
  commonName: 'hub.example',
  altNames: HOSTS.map((value) => ({ type: 2, value })),
  usage: { serverAuth: true },
});
const image = imageOf();
let blobsAt: string;
const handlers: Record<string, Handler> = {
  'hub.example': (request, response) =>
    standInRegistry({
      image,
      at: '/v2/library/alpine',
      authorization: 'Bearer good',
      challenge: 'Bearer realm="https://auth.hub.example/token",service="hub"',
      blobsAt,
    })(request, response),
  'auth.hub.example': standInTokens('good'),
  'cdn.example': standInStore(image),
  'issuer.example': (request, response) =>
    request.url === '/keys'
      ? sendJson(response, 200, { keys: [] })
      : sendJson(response, 200, {
          issuer: 'https://issuer.example',
          jwks_uri: 'https://issuer.example/keys',
        }),
};
const listener: Handler = (request, response) => {
  const handler = handlers[(request.headers.host ?? '').replace(/:.*$/, '')];
  if (handler === undefined) response.writeHead(421).end();
  else handler(request, response);
};
const secure = createHttpsServer(pair, listener);
const plain = createHttpServer(listener);

let proxy: StandInProxy;
let directory: string;
let log: LoggedLine[];

before(async () => {
  await Promise.all([secure, plain].map((server) => once(server.listen(0, '127.0.0.1'), 'listening')));
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-proxy-'));
});

after(async () => {
  for (const server of [secure, plain]) {
    server.close();
    server.closeAllConnections();
  }
  await rm(directory, { recursive: true });
});

beforeEach(async () => {
  proxy = await StandInProxy.start({ secure: portOf(secure), plain: portOf(plain) });
  log = [];
  blobsAt = 'https://cdn.example/blobs/';
});

afterEach(() => proxy[Symbol.asyncDispose]());

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

function by(options: Partial<ProxyOptions> = {}): EgressOptions {
  const through = { url: proxy.url, ...options };
  return { https: through, http: through, noProxy: [], authorities: [company.cert] };
}

function start(
  egress: EgressOptions,
  upstream: Partial<UpstreamOptions> = {},
  limits = LIMITS,
): Promise<TestCore> {
  const options = { host: DOCKER_HUB, url: new URL('https://hub.example'), ...upstream };
  return TestCore.start(options, { upstreams: [options], egress, limits, log: testLog(log) });
}

const MANIFEST = 'library/alpine/manifests/latest';
const BLOB = `library/alpine/blobs/${image.layers[0]}`;

/** Why the manifest cannot be had. */
async function trouble(core: TestCore, target = MANIFEST): Promise<string> {
  assert.equal((await core.ask(target)).status, 502);
  assert.doesNotMatch(JSON.stringify(log), new RegExp(PASSWORD));
  return String(log.find((line) => 'detail' in line)?.detail);
}

test('the registry, its token service and its storage are reached by the proxy', async () => {
  await using core = await start(by());
  assert.deepEqual((await core.ask(MANIFEST)).body, image.bytes);
  assert.deepEqual(await core.blob(BLOB), image.blobs.get(image.layers[0] ?? assert.fail()));
  const asked = ['CONNECT auth.hub.example:443', 'CONNECT cdn.example:443', 'CONNECT hub.example:443'];
  assert.deepEqual([...new Set(proxy.asked)].sort(), asked);
});

test('a proxy that inspects TLS is trusted by its authority alone', async () => {
  await using core = await start({ ...by(), authorities: [makeAuthority('other').cert] });
  assert.match(await trouble(core), /^hub\.example: its certificate .* egress\.ca/);
});

test('a proxy is logged in to, with the password of the settings or of a file that may change', async () => {
  proxy.login = basic('mirror', PASSWORD);
  {
    await using core = await start(by({ login: { username: 'mirror', password: PASSWORD } }));
    assert.equal((await core.ask(MANIFEST)).status, 200);
  }
  const passwordFile = path.join(directory, 'password');
  await writeFile(passwordFile, 'old one');
  await using core = await start(
    by({ login: { username: 'mirror', passwordFile } }),
    {},
    { ...LIMITS, breakAfter: 100 },
  );
  assert.match(
    await trouble(core),
    /^hub\.example: the proxy http:\/\/127\.0\.0\.1:\d+ refuses the login \(407\)/,
  );
  await writeFile(passwordFile, `${PASSWORD}\n`);
  core.now += 120_000;
  assert.equal((await core.ask(MANIFEST)).status, 200);
});

test('a proxy that wants a login, refuses, or is not there is named, without its password', async () => {
  proxy.login = basic('mirror', PASSWORD);
  const name = `the proxy ${proxy.url}`;
  {
    await using core = await start(by());
    assert.equal(
      await trouble(core),
      `hub.example: ${name} wants a login (407); see egress.username and egress.passwordFile`,
    );
  }
  log.length = 0;
  proxy.behaviour = { status: 403 };
  const login = { username: 'mirror', password: PASSWORD };
  {
    await using core = await start(by({ login }));
    assert.equal(await trouble(core), `hub.example: ${name} refuses to connect to hub.example:443 (403)`);
  }
  log.length = 0;
  await using core = await start(by({ login, url: 'http://127.0.0.1:1' }));
  assert.equal(
    await trouble(core),
    'hub.example: the proxy http://127.0.0.1:1 cannot be reached: ECONNREFUSED',
  );
});

test('invariant 16: a proxy that says nothing holds a request up no longer than a connection may take', async () => {
  proxy.behaviour = 'hangs';
  await using core = await start(by(), {}, { ...LIMITS, connect: 100 });
  assert.equal((await core.ask(MANIFEST)).status, 504);
  assert.match(JSON.stringify(log), /the proxy http:\/\/127\.0\.0\.1:\d+ does not answer within 0\.1 s/);
});

test('without TLS the proxy is sent the whole URL, and the login goes to it alone', async () => {
  proxy.login = basic('mirror', PASSWORD);
  const logins: unknown[] = [];
  handlers['plain.example'] = (request, response) => {
    logins.push(request.headers['proxy-authorization']);
    standInRegistry({ image, at: '/v2/library/alpine' })(request, response);
  };
  const upstream = { url: new URL('http://plain.example'), insecure: true };
  await using core = await start(by({ login: { username: 'mirror', password: PASSWORD } }), upstream);
  assert.deepEqual((await core.ask(MANIFEST)).body, image.bytes);
  assert.deepEqual([...new Set(logins)], [undefined]);
  assert.ok(proxy.asked.includes('HEAD http://plain.example/v2/library/alpine/manifests/latest'));
  proxy.login = 'another one';
  core.now += 120_000;
  log.length = 0;
  await core.ask(MANIFEST);
  assert.match(JSON.stringify(log), /refuses the login \(407\)/);
});

test('what is left out is connected to directly', async () => {
  await using core = await start({ ...by(), noProxy: ['*'] });
  assert.match(await trouble(core), /^hub\.example: (?:ENOTFOUND|EAI_AGAIN)$/);
  assert.deepEqual(proxy.asked, []);
});

test('invariant 5: a redirect behind a proxy leads to no address of a private network, nor to this machine', async () => {
  for (const [storage, reason] of [
    ['https://10.9.8.7/', 'which has no public address'],
    ['https://169.254.169.254/', 'which has no public address'],
    ['https://127.0.0.1/', 'which has no public address'],
    [`https://localhost:${portOf(secure)}/`, 'the host has no public address'],
    ['http://cdn.example/', 'without TLS'],
  ]) {
    blobsAt = storage ?? '';
    log.length = 0;
    proxy.asked.length = 0;
    await using core = await start(by());
    assert.equal((await core.ask(MANIFEST)).status, 200);
    const detail = await trouble(core, BLOB);
    assert.ok(detail.startsWith('hub.example redirects to ') && detail.includes(reason ?? ''), detail);
    assert.deepEqual(
      proxy.asked.filter((one) => !/hub\.example/.test(one)),
      [],
    );
  }
});

test('the keys of a federation’s issuer are read by the proxy, and its failure is named', async () => {
  assert.deepEqual(await readKeys('https://issuer.example', 30_000, by()), { keys: [] });
  assert.ok(proxy.asked.includes('CONNECT issuer.example:443'));
  proxy.login = 'none';
  await assert.rejects(readKeys('https://issuer.example', 30_000, by()), /the proxy .* wants a login/);
});
