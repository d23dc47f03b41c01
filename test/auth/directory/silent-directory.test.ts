/** A directory that is reached and then says nothing, or not enough, is given up after some seconds. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { openLdapDirectory } from '../../../src/auth/identity/directory/ldap.ts';
import type { LdapLogin } from '../../../src/config/login.ts';
import { testLog } from '../../support/test-log.ts';

/** Answers an extended request, which has a short id, that it succeeds (RFC 4511, section 4.12). */
function agreesTo(request: Buffer): Buffer {
  const id = request.subarray(2, 5);
  return Buffer.concat([Uint8Array.of(0x30, 0x0c), id, Buffer.from('78070a010004000400', 'hex')]);
}

/** Something in the place of a directory. */
async function listen(answer: (socket: Socket) => void) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.once('close', () => sockets.delete(socket)).on('error', () => {}));
    answer(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    address: `127.0.0.1:${port}`,
    /** Resolves when nobody is connected any more. */
    left: () => Promise.all([...sockets].map((socket) => once(socket, 'close'))),
    async [Symbol.asyncDispose]() {
      server.close();
      await once(server, 'close');
    },
  };
}

/** Begins a long answer, and sends one byte of it after the other. */
function answerSlowly(socket: Socket): void {
  socket.once('data', () => {
    socket.write(Buffer.from('30847fffffff', 'hex'));
    const next = setInterval(() => socket.write(Uint8Array.of(0)), 100);
    socket.once('close', () => clearInterval(next));
  });
}

const CASES = [
  { scheme: 'ldap', answer: (socket: Socket) => socket.resume() },
  { scheme: 'ldaps', answer: (socket: Socket) => socket.resume() },
  { scheme: 'ldap', answer: answerSlowly },
  {
    scheme: 'ldap',
    startTls: true,
    answer: (socket: Socket) => socket.once('data', (request: Buffer) => socket.write(agreesTo(request))),
  },
] as const;

test('invariant 16: a directory that says nothing, or not enough, is given up after three seconds', async () => {
  await Promise.all(
    CASES.map(async ({ scheme, answer, ...more }) => {
      await using server = await listen(answer);
      const login: LdapLogin = {
        ...{ kind: 'ldap', name: 'corp', url: `${scheme}://${server.address}`, people: 'ou=p', user: 'uid' },
        ...{
          startTls: false,
          groups: 'memberOf',
          passwords: 'console',
          confirm: 900_000,
          offline: 86_400_000,
        },
        ...more,
      };
      const directory = openLdapDirectory({ login, clock: Date.now, log: testLog([]) });
      const began = performance.now();
      await assert.rejects(directory.authenticate('ana', 'a password'), { name: 'DirectoryUnavailable' });
      const took = performance.now() - began;
      assert.ok(took > 2_900 && took < 4_000, `${scheme} ${JSON.stringify(more)}: ${took} ms`);
      await server.left();
    }),
  );
});
