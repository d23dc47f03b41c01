import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

export interface SlowLinkOptions {
  /** The address at which clients reach the link. */
  readonly address: string;
  /** The address to which the link leads. */
  readonly to: string;
  /** The bytes of a second on each connection. */
  readonly rate: number;
}

const PORT = 443;
const PART = 16 * 1024;
/** The time in milliseconds by which a connection may be late and still catch up. */
const MOST_BEHIND = 1000;

/** Passes connections on: what clients send at a limited rate, and what they receive at once. */
export async function startSlowLink({ address, to, rate }: SlowLinkOptions): Promise<AsyncDisposable> {
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const mirror = connect({ host: to, port: PORT, allowHalfOpen: true });
    for (const socket of [client, mirror]) {
      open.add(socket);
      socket.setNoDelay(true).on('error', () => {});
      socket.on('close', () => {
        open.delete(socket);
        client.destroy();
        mirror.destroy();
      });
    }
    mirror.pipe(client);
    // A connection that breaks off ends both sockets.
    passOn(client, mirror, rate).catch(() => {});
  });
  server.listen(PORT, address);
  await once(server, 'listening');
  return {
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}

async function passOn(from: Socket, to: Socket, rate: number): Promise<void> {
  let due = 0;
  for await (const chunk of from) {
    for (let at = 0; at < chunk.length; at += PART) {
      const part = chunk.subarray(at, at + PART);
      if (!to.write(part)) await once(to, 'drain');
      // A late timer does not make the link slower, but an idle connection saves nothing up.
      due = Math.max(due, performance.now() - MOST_BEHIND) + (part.length * 1000) / rate;
      await delay(Math.max(0, due - performance.now()));
    }
  }
  to.end();
}
