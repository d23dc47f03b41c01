import { once } from 'node:events';
import { Agent, request } from 'node:https';
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';

export interface LoadRequest {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The length of the answer's body. */
  readonly length: number;
}

export interface Failure {
  readonly path: string;
  readonly reason: string;
  /** The port on the client's side, by which the server's side is identified. */
  readonly port: number | undefined;
  /** True if the TLS handshake had ended. */
  readonly secure: boolean;
  /** The time by the monotonic clock. */
  readonly at: number;
}

export interface LoadOptions {
  readonly port: number;
  readonly ca: string;
  /** The number of requests in each second. */
  readonly rate: number;
  readonly requests: () => readonly LoadRequest[];
}

/** In milliseconds. Docker waits this long for an answer to a ping. */
const DEADLINE = 15_000;
const TICK = 5;
/**
 * The most requests that wait for an answer. Without a bound, a machine that is too busy would only ever fall
 * behind.
 */
const MOST_UNDER_WAY = 100;

/**
 * Sends requests at an even rate, or at a lower one if the machine cannot keep up: one in four on a new
 * connection, the others on open connections.
 */
export class SteadyLoad implements AsyncDisposable {
  readonly failures: Failure[] = [];
  sent = 0;
  handshakes = 0;
  readonly #options: LoadOptions;
  readonly #kept: Agent;
  readonly #fresh: Agent;
  readonly #underWay = new Set<Promise<void>>();
  #ending = false;
  #running: Promise<void>;

  constructor(options: LoadOptions) {
    this.#options = options;
    const { ca } = options;
    this.#kept = new Agent({ ca, keepAlive: true, maxSockets: 16, maxCachedSessions: 0 });
    this.#fresh = new Agent({ ca, keepAlive: false, maxCachedSessions: 0 });
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#ending = true;
    await this.#running;
    await Promise.all(this.#underWay);
    this.#kept.destroy();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #run(): Promise<void> {
    let last = performance.now();
    let due = 0;
    while (!this.#ending) {
      const now = performance.now();
      due += ((now - last) * this.#options.rate) / 1000;
      last = now;
      for (; due >= 1; due--) {
        if (this.#underWay.size >= MOST_UNDER_WAY) continue;
        const asking = this.#ask(this.sent++).finally(() => this.#underWay.delete(asking));
        this.#underWay.add(asking);
      }
      await delay(TICK);
    }
  }

  async #ask(number: number): Promise<void> {
    const { port, requests } = this.#options;
    const all = requests();
    const { path, headers, length } = all[number % all.length] as LoadRequest;
    const agent = number % 4 === 0 ? this.#fresh : this.#kept;
    const connection: { local?: number; secure: boolean } = { secure: false };
    try {
      const asked = request({ host: 'localhost', port, path, headers, agent, timeout: DEADLINE });
      asked.on('socket', (socket) => this.#follow(socket, connection));
      asked.on('timeout', () => asked.destroy(new Error('no answer in time')));
      asked.end();
      const [response] = await once(asked, 'response');
      let received = 0;
      for await (const chunk of response) received += (chunk as Buffer).length;
      if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`);
      if (received < length) throw new Error(`${received} of ${length} bytes`);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const { local, secure } = connection;
      this.failures.push({ path, reason: code ?? message, port: local, secure, at: performance.now() });
    }
  }

  #follow(socket: Socket, connection: { local?: number; secure: boolean }): void {
    const know = () => {
      if (socket.localPort !== undefined) connection.local = socket.localPort;
    };
    know();
    // On a reused connection the handshake is over.
    if ((socket as TLSSocket).getCipher?.()?.name !== undefined && !socket.connecting) {
      connection.secure = true;
      return;
    }
    socket.once('connect', know);
    socket.once('secureConnect', () => {
      connection.secure = true;
      this.handshakes++;
    });
  }
}
