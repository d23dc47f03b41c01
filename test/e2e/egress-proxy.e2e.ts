/** Hubgate behind a real squid, by which alone an upstream can be found. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { makeAuthority } from '../support/certificates.ts';
import { imageOf } from '../support/image.ts';
import { standInRegistry, standInStore, standInTokens } from '../support/registry-handlers.ts';
import { RunningMirror } from '../support/running-mirror.ts';
import { basic } from '../support/test-hubgate.ts';
import type { Handler } from '../support/test-network.ts';
import { waitFor } from '../support/wait-for.ts';
import { startSquid } from './support/squid.ts';

const HOSTS = ['hub.example', 'auth.hub.example', 'cdn.example'];
const LOGIN = { username: 'mirror', password: 'pr0xy-s3cret' };

const authority = makeAuthority('upstreams');
const inspector = makeAuthority('proxy');
const image = imageOf({ size: 300_000 });
const altNames = HOSTS.map((value) => ({ type: 2, value }));
const pair = authority.issue({ commonName: 'hub.example', altNames, usage: { serverAuth: true } });
const server = createServer(pair, (request, response) => {
  const [host = ''] = (request.headers.host ?? '').split(':');
  handlers[host]?.(request, response);
});
let port: number;
let directory: string;

const handlers: Record<string, Handler> = {
  'hub.example': (request, response) =>
    standInRegistry({
      image,
      at: '/v2/library/alpine',
      authorization: 'Bearer good',
      challenge: `Bearer realm="https://auth.hub.example:${port}/token",service="hub"`,
      blobsAt: `https://cdn.example:${port}/blobs/`,
    })(request, response),
  'auth.hub.example': standInTokens('good'),
  'cdn.example': standInStore(image),
};

before(async () => {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  port = (server.address() as AddressInfo).port;
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-egress-'));
  await writeFile(path.join(directory, 'upstreams.crt'), authority.cert);
  await writeFile(path.join(directory, 'proxy.crt'), inspector.cert);
  await writeFile(path.join(directory, 'password'), LOGIN.password, { mode: 0o600 });
});

after(async () => {
  server.close();
  server.closeAllConnections();
  await rm(directory, { recursive: true });
});

function start(config: string, environment: Record<string, string> = {}): Promise<RunningMirror> {
  return RunningMirror.start({
    config,
    environment: { REGISTRY_PROXY_REMOTEURL: `https://hub.example:${port}`, ...environment },
  });
}

/** What `upstream check` prints. */
async function steps(mirror: RunningMirror): Promise<string> {
  const { output } = await mirror.run('upstream', 'check', 'docker.io', 'library/alpine');
  assert.doesNotMatch(output, new RegExp(LOGIN.password));
  return output;
}

/** Pulls the image, or returns the status of its manifest. */
async function pull(mirror: RunningMirror): Promise<number> {
  const [, password = ''] = /admin has the password +(\S+)/.exec(mirror.output) ?? [];
  const headers = { authorization: basic('admin', password) };
  const { status, body } = await mirror.ask('/v2/library/alpine/manifests/latest', { headers });
  if (status !== 200) return status;
  assert.deepEqual(body, image.bytes);
  for (const digest of [image.config, ...image.layers]) {
    const blob = await mirror.ask(`/v2/library/alpine/blobs/${digest}`, { headers });
    assert.deepEqual(blob.body, image.blobs.get(digest));
  }
  return status;
}

test('an image is pulled by squid, with a login from the environment', async () => {
  await using squid = await startSquid({ hosts: HOSTS, login: LOGIN });
  const proxy = new URL(squid.url);
  proxy.username = LOGIN.username;
  proxy.password = LOGIN.password;
  const config = `egress: { ca: ${directory}/upstreams.crt }\n`;
  await using mirror = await start(config, { https_proxy: proxy.href });
  assert.equal(await pull(mirror), 200);
  assert.ok(mirror.output.includes(`proxy           ${squid.url} (https_proxy)`), mirror.output);
  assert.match((await mirror.run('doctor')).output, /by the proxy http:\/\/127\.0\.0\.1/);
  const walked = await steps(mirror);
  assert.ok(walked.includes(`✓ proxy        ${squid.url}`), walked);
  assert.match(walked, /✓ TLS +TLSv1\.\d, issued by upstreams,/);
  assert.match(walked, /✓ first bytes/);
  await mirror.stop();
  // Squid logs a tunnel when it ends.
  const asked = (log: string, host: string) => log.includes(`CONNECT ${host}:${port} mirror HIER_DIRECT/`);
  await waitFor(async () => {
    const log = await readFile(path.join(squid.directory, 'access.log'), 'utf8');
    return HOSTS.every((host) => asked(log, host));
  });
  assert.doesNotMatch(mirror.output, new RegExp(LOGIN.password));
});

test('an image is pulled by a squid that inspects TLS, whose authority is in egress.ca', async () => {
  const inspects = { pem: `${inspector.cert}${inspector.key}`, trusted: authority.cert };
  await using squid = await startSquid({ hosts: HOSTS, login: LOGIN, inspects });
  const settings = `proxy: "${squid.url}", username: mirror, passwordFile: ${directory}/password`;
  await using mirror = await start(`egress: { ${settings}, ca: ${directory}/proxy.crt }\n`);
  assert.equal(await pull(mirror), 200);
  const log = await readFile(path.join(squid.directory, 'access.log'), 'utf8');
  assert.match(log, /GET https:\/\/hub\.example:\d+\/v2\/library\/alpine\/manifests/, 'squid has read it');
  assert.match(await steps(mirror), /✓ TLS +TLSv1\.\d, issued by proxy,[^✗]*✓ first bytes/);
  await using untrusting = await start(`egress: { ${settings} }\n`);
  assert.equal(await pull(untrusting), 502);
  assert.match(untrusting.output, /its certificate is not of an authority .* egress\.ca/);
  assert.match(await steps(untrusting), /✓ address .*\n✗ TLS .*not of an authority.*\n +→ .*egress\.ca/);
});

test('what squid refuses is in the log, with its name and without its password', async () => {
  await using squid = await startSquid({ hosts: ['other.example'], login: LOGIN });
  const settings = `proxy: "${squid.url}", username: mirror, passwordFile: ${directory}/password`;
  await using mirror = await start(`egress: { ${settings} }\n`);
  assert.equal(await pull(mirror), 502);
  assert.match(
    mirror.output,
    /the proxy http:\/\/127\.0\.0\.1:\d+ refuses to connect to hub\.example:\d+ \(403\)/,
  );
  assert.match(await steps(mirror), /✗ TLS +the proxy \S+ refuses to connect .*\n +→ check that proxy/);
  await using known = await startSquid({ hosts: HOSTS, login: { ...LOGIN, password: 'another one' } });
  const wrong = settings.replace(squid.url, known.url);
  await using refused = await start(`egress: { ${wrong} }\n`);
  assert.equal(await pull(refused), 502);
  assert.match(refused.output, /the proxy \S+ refuses the login \(407\); see egress\.username/);
  assert.doesNotMatch(`${mirror.output}${refused.output}`, new RegExp(LOGIN.password));
});
