import { finished, type Readable } from 'node:stream';
import { type ReceivedChunks, receiveChunks } from '../../platform/ipc/receive-chunks.ts';
import { releaseBuffer } from '../../platform/release-buffer.ts';

/**
 * The size of a piece in bytes. With smaller ones, the thread switches and the announcements cost more than
 * the bytes.
 */
const PIECE = 512 * 1024;
/**
 * The milliseconds after which the received bytes are a piece, because nobody waits for bytes that a slow
 * upstream has not sent yet.
 */
const LINGER = 10;

/**
 * Yields the bytes of `body`, which begins at the offset `from` of a blob, in few large pieces instead of
 * many small ones, and in order. Bytes that came before an error are yielded before it. The body is read on
 * while a piece is used. A piece is valid until the next one is requested, because its memory is used again.
 * If the reader stops before the end, the body is destroyed, or with `discard` its rest is read and dropped.
 */
export async function* coalesceChunks(
  body: Readable,
  from: number,
  rest: 'destroy' | 'discard' = 'destroy',
): AsyncGenerator<Buffer, void> {
  using gathering = new Gathering(body, from, rest);
  let memory: Buffer = Buffer.alloc(0);
  for (;;) {
    const { chunks, length } = await gathering.take();
    const [first] = chunks;
    if (first === undefined) return;
    if (chunks.length > 1 && length > memory.length) memory = Buffer.allocUnsafeSlow(length);
    yield chunks.length === 1 ? first : join(chunks, memory);
  }
}

function join(chunks: readonly Buffer[], memory: Buffer): Buffer {
  let length = 0;
  for (const chunk of chunks) {
    length += chunk.copy(memory, length);
    releaseBuffer(chunk);
  }
  return memory.subarray(0, length);
}

interface Gathered {
  readonly chunks: readonly Buffer[];
  readonly length: number;
}

class Gathering implements Disposable {
  readonly #body: Readable;
  readonly #rest: 'destroy' | 'discard';
  readonly #linger: NodeJS.Timeout;
  readonly #received: ReceivedChunks;
  #chunks: Buffer[] = [];
  #length = 0;
  /** The bytes to the end of the piece. Readers get whole chunks, which end where pieces do. */
  #room: number;
  #hasEnded = false;
  #error: Error | undefined;
  /** Settles when there is a piece, or at the end. */
  #due = Promise.withResolvers<void>();

  constructor(body: Readable, from: number, rest: 'destroy' | 'discard') {
    this.#body = body;
    this.#rest = rest;
    this.#room = PIECE - (from % PIECE);
    this.#linger = setTimeout(() => {
      if (this.#length > 0) this.#due.resolve();
    }, LINGER);
    finished(body, { writable: false }, (error) => {
      this.#hasEnded = true;
      this.#error = error ?? undefined;
      this.#due.resolve();
    });
    this.#received = receiveChunks(body, this.#add);
  }

  /** Resolves to no chunks at the end. */
  async take(): Promise<Gathered> {
    await this.#due.promise;
    const chunks = this.#chunks;
    const length = Math.min(this.#length, this.#room);
    if (length === 0 && this.#error !== undefined) throw this.#error;
    const rest = this.#length - length;
    const last = rest > 0 ? chunks.pop() : undefined;
    this.#chunks = [];
    this.#length = 0;
    this.#room = length === this.#room ? PIECE : this.#room - length;
    if (!this.#hasEnded) this.#due = Promise.withResolvers();
    if (last !== undefined) chunks.push(last.subarray(0, -rest));
    const isFull = last !== undefined && !this.#add(last.subarray(-rest));
    if (!isFull && !this.#hasEnded) this.#received.resume();
    return { chunks, length };
  }

  readonly #add = (chunk: Buffer): boolean => {
    if (this.#length === 0) this.#linger.refresh();
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    const isFull = this.#length >= this.#room;
    if (isFull) this.#due.resolve();
    return !isFull;
  };

  [Symbol.dispose](): void {
    clearTimeout(this.#linger);
    this.#received[Symbol.dispose]();
    if (this.#rest === 'destroy') this.#body.destroy();
    else this.#body.resume();
  }
}
