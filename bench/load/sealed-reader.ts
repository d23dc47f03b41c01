/**
 * A client that costs almost nothing, so that the measurement is that of the server. It makes a normal TLS
 * connection, and then reads records without decrypting them: their headers say how much content each
 * contains (RFC 8446 §5.2), which is all that a measurement needs. A client that decrypts has checked the
 * content before.
 *
 * It runs as a process of its own: it receives one `ReaderJob` as a message, and sends one `ReaderResult`
 * back.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { connect as secure, type TLSSocket } from 'node:tls';
import { ACCEPT } from '../content.ts';

export interface Target {
  readonly path: string;
  readonly authorization?: string;
  /** The length of the body, and of the header before it. */
  readonly length: number;
  readonly header: number;
}

export interface ReaderJob {
  readonly port: number;
  /** The requests of each connection, one after the other. Connection n takes list n modulo their number. */
  readonly lists: readonly (readonly Target[])[];
  readonly connections: number;
  /**
   * In seconds: for this time the lists are read repeatedly; undefined: each list is read once, to its end.
   */
  readonly seconds?: number;
  /** In bytes per second for each connection; undefined: at full speed. */
  readonly rate?: number;
  /** In seconds. A connection that receives nothing for this time has failed. */
  readonly patience: number;
}

export interface ReaderResult {
  /** The bytes of content. */
  readonly bytes: number;
  readonly requests: number;
  readonly seconds: number;
  /** In seconds, from the request to the last byte, of the connections that came to their end. */
  readonly times: readonly number[];
  /** In seconds, from the request to the first bytes of its answer. */
  readonly firstBytes: readonly number[];
  readonly errors: readonly string[];
  /** The CPU time of this process while it measured. */
  readonly cpuSeconds: number;
}

/**
 * The bytes that TLS_AES_128_GCM_SHA256 adds to a record: the type of its content and the tag (RFC 8446
 * §5.2).
 */
const SEAL = 17;
const RECORD_HEADER = 5;
const APPLICATION_DATA = 23;
const SUITE = 'TLS_AES_128_GCM_SHA256';
const BUFFER = Buffer.allocUnsafe(2 ** 20);
/**
 * In milliseconds. Within this time the session tickets arrive, which would be taken for the first bytes of
 * an answer.
 */
const TICKETS = 200;
/** In milliseconds between two reads of a slow reader. */
const TICK = 100;

/** Counts the content of records as their bytes arrive. */
class RecordCounter {
  content = 0;
  /** The header of a record that came in two pieces. */
  #header = Buffer.alloc(RECORD_HEADER);
  #have = 0;
  #left = 0;
  #carries = 0;

  count(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#left === 0) {
        const taken = bytes.copy(this.#header, this.#have, at, at + RECORD_HEADER - this.#have);
        this.#have += taken;
        at += taken;
        if (this.#have < RECORD_HEADER) return;
        this.#have = 0;
        this.#left = this.#header.readUInt16BE(3);
        this.#carries = this.#header[0] === APPLICATION_DATA ? this.#left - SEAL : 0;
      } else {
        const skipped = Math.min(this.#left, bytes.length - at);
        this.#left -= skipped;
        at += skipped;
        if (this.#left === 0) this.content += this.#carries;
      }
    }
  }
}

class Connection {
  readonly times: number[] = [];
  readonly firstBytes: number[] = [];
  requests = 0;
  bytes = 0;
  readonly #job: ReaderJob;
  readonly #list: readonly Target[];
  readonly #finished = Promise.withResolvers<void>();
  readonly #counter = new RecordCounter();
  #socket!: Socket;
  #tls!: TLSSocket;
  #isOpen = false;
  #ended = false;
  /** The amount of content at which the current answer is complete. */
  #complete = Number.POSITIVE_INFINITY;
  #askedAt = 0;
  #isFirst = false;
  #heardAt = performance.now();
  #allowance = Number.POSITIVE_INFINITY;

  constructor(job: ReaderJob, list: readonly Target[]) {
    this.#job = job;
    this.#list = list;
    if (job.rate !== undefined) this.#allowance = 0;
    this.#finished.promise.catch(() => {});
  }

  async open(): Promise<void> {
    const carrier = new Duplex({
      read() {},
      write: (chunk, _, done) => void this.#socket.write(chunk, () => done()),
    });
    const callback = (count: number, buffer: Uint8Array<ArrayBuffer>) =>
      this.#read(Buffer.from(buffer.buffer, buffer.byteOffset, count), carrier);
    // A slow reader may read this much between two ticks, so no read is larger.
    const most = this.#job.rate === undefined ? BUFFER.length : Math.ceil((this.#job.rate * TICK) / 1000);
    const onread = { buffer: BUFFER.subarray(0, most), callback: callback as never };
    this.#socket = connect({ host: '127.0.0.1', port: this.#job.port, noDelay: true, onread });
    this.#socket.on('error', (error) => this.#fail(error.message));
    this.#socket.on('close', () => this.#fail(`closed after ${this.#counter.content} bytes`));
    await Promise.race([once(this.#socket, 'connect'), this.#finished.promise]);
    // The certificate is the bench's own, on loopback.
    this.#tls = secure({ socket: carrier, rejectUnauthorized: false, ciphers: SUITE, minVersion: 'TLSv1.3' });
    this.#tls.on('error', (error) => this.#fail(error.message));
    await Promise.race([once(this.#tls, 'secureConnect'), this.#finished.promise]);
    this.#isOpen = true;
    if (this.#tls.getCipher().standardName !== SUITE) throw new Error('another suite');
  }

  /** Resolves when the list has been read, if it is read only once. */
  start(): Promise<void> {
    this.#ask();
    return this.#finished.promise;
  }

  /** Lets a slow reader continue. */
  allow(bytes: number): void {
    this.#allowance = bytes;
    this.#socket.resume();
  }

  /** True if nothing has arrived for too long. */
  isStuck(): boolean {
    return !this.#ended && performance.now() - this.#heardAt > this.#job.patience * 1000;
  }

  end(): void {
    this.#ended = true;
    this.#socket?.destroy();
    this.#finished.resolve();
  }

  giveUp(): void {
    this.#fail(`nothing for ${this.#job.patience} s, after ${this.#counter.content} bytes`);
  }

  #fail(reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#socket.destroy();
    this.#finished.reject(new Error(reason));
  }

  #read(bytes: Buffer, carrier: Duplex): boolean {
    this.#heardAt = performance.now();
    if (!this.#isOpen) {
      // The bytes that come with the end of the handshake are session tickets. They are never an answer,
      // because there was no request.
      carrier.push(Buffer.from(bytes));
      return true;
    }
    const before = this.#counter.content;
    this.#counter.count(bytes);
    if (this.#complete !== Number.POSITIVE_INFINITY) this.bytes += this.#counter.content - before;
    if (this.#isFirst) this.#noteFirstByte();
    // A late ticket makes this a few hundred bytes too early, which does no harm.
    if (!this.#ended && this.#counter.content >= this.#complete) this.#completed();
    this.#allowance -= bytes.length;
    return this.#allowance > 0;
  }

  #noteFirstByte(): void {
    this.#isFirst = false;
    this.firstBytes.push((performance.now() - this.#askedAt) / 1000);
  }

  #completed(): void {
    this.requests++;
    this.times.push((performance.now() - this.#askedAt) / 1000);
    if (this.#job.seconds === undefined && this.requests === this.#list.length) this.end();
    else this.#ask();
  }

  #ask(): void {
    const target = this.#list[this.requests % this.#list.length] as Target;
    const { path, authorization, length, header } = target;
    // All bytes so far belong to earlier requests: if an answer is longer than expected, the difference must
    // not accumulate.
    this.#complete = this.#counter.content + length + header;
    this.#askedAt = performance.now();
    this.#isFirst = true;
    const credential = authorization === undefined ? '' : `Authorization: ${authorization}\r\n`;
    this.#tls.write(
      `GET ${path} HTTP/1.1\r\nHost: localhost:${this.#job.port}\r\n${credential}Accept: ${ACCEPT}\r\n\r\n`,
    );
  }
}

async function read(job: ReaderJob): Promise<ReaderResult> {
  const errors: string[] = [];
  const connections = Array.from({ length: job.connections }, (_, index) => {
    return new Connection(job, job.lists[index % job.lists.length] ?? []);
  });
  const watch = setInterval(() => {
    for (const connection of connections) if (connection.isStuck()) connection.giveUp();
  }, 500);
  const note = (error: Error) => void errors.push(error.message);
  // Handshakes are not measured here; those of a thousand clients would be a second or two of the time.
  const open = (await Promise.all(connections.map((one) => one.open().then(() => one, note)))).filter(
    (one) => one !== undefined,
  );
  await delay(TICKETS);
  const begun = performance.now();
  const cpu = process.cpuUsage();
  const slow = job.rate === undefined ? undefined : setInterval(() => slowDown(open, job.rate ?? 0), TICK);
  const reading = Promise.all(open.map((one) => one.start().catch(note)));
  if (job.seconds !== undefined) {
    await delay(job.seconds * 1000);
    for (const one of open) one.end();
  }
  await reading;
  const seconds = (performance.now() - begun) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  clearInterval(watch);
  clearInterval(slow);
  const sum = (of: (one: Connection) => number) => open.reduce((total, one) => total + of(one), 0);
  return {
    bytes: sum((one) => one.bytes),
    requests: sum((one) => one.requests),
    seconds,
    times: open.flatMap((one) => one.times),
    firstBytes: open.flatMap((one) => one.firstBytes),
    errors,
    cpuSeconds: (user + system) / 1e6,
  };
}

function slowDown(connections: readonly Connection[], rate: number): void {
  for (const one of connections) one.allow((rate * TICK) / 1000);
}

process.on('message', (job: ReaderJob) => {
  void read(job).then((result) => process.send?.(result));
});
process.on('disconnect', () => process.exit());
