import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { MAX_QUESTIONS } from '../../src/core/limits.ts';
import { FakeHub } from '../support/fake-hub.ts';
import { ask } from '../support/http.ts';
import { imageOf } from '../support/image.ts';
import { ACCOUNT, handedOver, SHORT_LIMITS, TestCore } from '../support/test-core.ts';
import { waitFor } from '../support/wait-for.ts';

const TARGET = 'acme/app/manifests/1';
const CONNECTIONS = 64;
const FOUND = 'HTTP/1.1 200 ';

test('invariant 16: the core works on 4,096 questions at a time, refuses further ones at once, and still says how it is', async () => {
  await using hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  hub.push('acme/app', '1', imageOf());
  const long = { headers: 60_000, token: 60_000, question: 60_000 };
  await using core = await TestCore.start(hub, { limits: { ...SHORT_LIMITS, ...long } });
  const socketPath = path.join(core.directory, 'core.sock');
  const gate = Promise.withResolvers<void>();
  hub.plant('registry', /^HEAD/, { kind: 'after', action: () => gate.promise });
  let answered = 0;
  const { path: at, headers } = handedOver(TARGET, 'public');
  const lines = Object.entries({ host: 'core', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  const question = `GET ${at} HTTP/1.1\r\n${lines.join('')}\r\n`;
  const sockets = Array.from({ length: CONNECTIONS }, (): Socket => {
    const socket = connect(socketPath);
    let rest = '';
    socket.on('data', (bytes) => {
      const text = rest + bytes.toString('latin1');
      answered += text.split(FOUND).length - 1;
      // A status line may arrive in two pieces.
      rest = text.slice(1 - FOUND.length);
    });
    socket.write(question.repeat(MAX_QUESTIONS / CONNECTIONS));
    return socket;
  });
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  // Meanwhile the core reads what was written to it before.
  for (let turn = 0; turn < 10; turn++) await ask({ socketPath, path: '/status' });
  const signal = AbortSignal.timeout(20_000);
  const { status, headers: said } = await ask({ socketPath, ...handedOver(TARGET, 'public'), signal });
  assert.deepEqual([status, said['hubgate-error'], said['retry-after']], [503, 'UNAVAILABLE', '1']);
  assert.equal(answered, 0);
  assert.equal((await ask({ socketPath, path: '/status' })).status, 200);
  gate.resolve();
  await waitFor(() => answered === MAX_QUESTIONS);
  assert.equal((await core.ask(TARGET)).status, 200);
  for (const socket of sockets) socket.destroy();
});
