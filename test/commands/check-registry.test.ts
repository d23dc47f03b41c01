import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { serveLocally } from '../support/local-server.ts';

const SCRIPT = path.join(import.meta.dirname, '../../tools/check-registry.mjs');

async function check(environment: Record<string, string>) {
  const { PATH, HOME } = process.env;
  const env = { PATH, HOME, CHECK_REGISTRY_SECONDS: '5', ...environment };
  const child = spawn(process.execPath, [SCRIPT], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  const [said, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
  return { code, said };
}

/** A proxy that answers each request with `answer`, or never. */
async function startProxy(t: TestContext, answer?: string): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}));
    if (answer !== undefined) socket.once('data', () => socket.write(answer));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return `http://127.0.0.1:${(server.address() as { port: number }).port}`;
}

const REGISTRY = 'https://registry.invalid/';

test('a proxy that refuses or hangs is named within seconds, with what to do and without its password', async (t) => {
  const cases = [
    [
      await startProxy(t, 'HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n'),
      /the proxy refuses the connection: 403 Forbidden/,
    ],
    [
      await startProxy(t, 'HTTP/1.1 407 Proxy Authentication Required\r\n\r\n'),
      /refuses the connection: 407/,
    ],
    [await startProxy(t), /nothing answers within 5 s/],
    ['http://127.0.0.1:9', /ECONNREFUSED/],
  ] as const;
  for (const [proxy, reason] of cases) {
    const HTTPS_PROXY = proxy.replace('http://', 'http://ana:s3cret@');
    const { code, said } = await check({ npm_config_registry: REGISTRY, HTTPS_PROXY });
    assert.equal(code, 1);
    assert.match(said, reason);
    assert.match(said, /npm cannot reach its registry registry\.invalid through the proxy http:\/\/127/);
    assert.match(said, /export HTTPS_PROXY=.*\n.*NODE_EXTRA_CA_CERTS=.*\n.*--build-arg/);
    assert.doesNotMatch(said, /s3cret/);
  }
});

test('a registry that answers, whatever it says, is reached', async (t) => {
  const registry = await serveLocally((_, response) => void response.writeHead(404).end());
  t.after(() => registry.stop());
  const { code, said } = await check({ npm_config_registry: registry.url.href, NO_PROXY: '127.0.0.1' });
  assert.deepEqual([code, said], [0, '']);
});
