/** Connections of nodes to a server go through a relay, which can hold what is sent. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** A connection that has sent so many bytes sends content, and no mere question. */
const CONTENT = 64 * 1024;

/**
 * What is held: content that the nodes send, from so many bytes on, or the answers to what they have sent.
 */
export type Held = { readonly contentFrom: number } | 'answers';

type Gate = PromiseWithResolvers<void>;

export class Relay implements AsyncDisposable {
  readonly #listener: Server;
  readonly #sockets = new Set<Socket>();
  #held: Held | undefined;
  /** The bytes of content that were sent since the hold began. */
  #sent = 0;
  #reached: Gate = Promise.withResolvers();
  #gate: Gate = Promise.withResolvers();

  /** Relays from a free port of `host` to a port of loopback, which `target` may learn later. */
  static async start(target: () => number, host = '127.0.0.1'): Promise<Relay> {
    const relay = new Relay(target);
    relay.#listener.listen(0, host);
    await once(relay.#listener, 'listening');
    return relay;
  }

  private constructor(target: () => number) {
    this.#listener = createServer((client) => this.#relay(client, connect(target(), '127.0.0.1')));
  }

  get port(): number {
    return (this.#listener.address() as AddressInfo).port;
  }

  /** Holds until `release`. Resolves when content is held, or was begun to be sent whose answer is held. */
  async hold(held: Held): Promise<void> {
    this.#sent = 0;
    this.#reached = Promise.withResolvers();
    this.#gate = Promise.withResolvers();
    this.#held = held;
    await this.#reached.promise;
  }

  release(): void {
    this.#held = undefined;
    this.#gate.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.release();
    const closed = once(this.#listener, 'close');
    this.#listener.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #relay(client: Socket, server: Socket): void {
    const connection = { sent: 0 };
    const asked = async (chunk: Buffer) => {
      connection.sent += chunk.length;
      if (this.#held === undefined || connection.sent <= CONTENT) return;
      this.#sent += chunk.length;
      if (this.#held !== 'answers' && this.#sent < this.#held.contentFrom) return;
      this.#reached.resolve();
      if (this.#held !== 'answers') await this.#gate.promise;
    };
    const answered = async () => {
      if (this.#held === 'answers' && connection.sent > CONTENT) await this.#gate.promise;
    };
    for (const [from, to, before] of [
      [client, server, asked],
      [server, client, answered],
    ] as const) {
      this.#sockets.add(from);
      from.once('close', () => this.#sockets.delete(from));
      forward(from, to, before).catch(() => to.destroy());
    }
  }
}

async function forward(from: Socket, to: Socket, before: (chunk: Buffer) => Promise<void>): Promise<void> {
  for await (const chunk of from) {
    await before(chunk);
    if (!to.write(chunk)) await once(to, 'drain');
  }
  to.end();
}
