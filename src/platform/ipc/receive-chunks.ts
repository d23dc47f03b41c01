import { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';

/** Takes a chunk. Returns false if no more may come until `resume` is called. */
export type ChunkTaker = (chunk: Buffer) => boolean;

/** The chunks of a body that are given to somebody. None is given any more when this is disposed. */
export interface ReceivedChunks extends Disposable {
  resume(): void;
}

/**
 * Gives each chunk of a body to `take`. The body emits its events as for other readers, except `data`. When
 * this is disposed before the end, the body is paused, and whoever resumes it gets the rest.
 */
export function receiveChunks(body: Readable, take: ChunkTaker): ReceivedChunks {
  return body instanceof IncomingMessage ? new MessageChunks(body, take) : new StreamChunks(body, take);
}

class StreamChunks implements ReceivedChunks {
  readonly #body: Readable;
  readonly #take: (chunk: Buffer) => void;

  constructor(body: Readable, take: ChunkTaker) {
    this.#body = body;
    this.#take = (chunk) => {
      if (!take(chunk)) body.pause();
    };
    body.on('data', this.#take);
  }

  resume(): void {
    this.#body.resume();
  }

  [Symbol.dispose](): void {
    this.#body.off('data', this.#take).pause();
  }
}

/**
 * Takes the chunks of a message where Node's parser gives them to the stream, by `push`. For each chunk the
 * stream would plan to ask for another one. A push over TLS has eighty thousand chunks for each GiB, and
 * those plans cost more than the decryption.
 */
class MessageChunks implements ReceivedChunks {
  readonly #message: IncomingMessage;
  readonly #take: ChunkTaker;
  /**
   * These came after `take` returned false, because one read of TLS yields several chunks; null is the end.
   */
  readonly #waiting: (Buffer | null)[] = [];
  #isPaused = false;

  constructor(message: IncomingMessage, take: ChunkTaker) {
    this.#message = message;
    this.#take = take;
    message.push = (chunk: Buffer | null) => {
      if (this.#isPaused) this.#waiting.push(chunk);
      else this.#give(chunk);
      return !this.#isPaused;
    };
    this.#isPaused = true;
    this.resume();
  }

  #give(chunk: Buffer | null): void {
    if (chunk === null) this.#end();
    else this.#isPaused = !this.#take(chunk);
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    for (;;) {
      // The stream has what came before the first chunk was taken here. After its last bytes it emits `end`.
      const chunk = this.#message.read() ?? this.#waiting.shift();
      if (chunk === undefined) break;
      this.#give(chunk);
      if (this.#isPaused) return;
    }
    if (!this.#message.complete) this.#message._read(0);
  }

  #end(): void {
    Reflect.deleteProperty(this.#message, 'push');
    this.#message.push(null);
    // A stream that nobody reads does not end.
    this.#message.resume();
  }

  [Symbol.dispose](): void {
    const message = this.#message;
    Reflect.deleteProperty(message, 'push');
    message.pause();
    for (const chunk of this.#waiting.splice(0)) message.push(chunk);
    if (!message.complete) message._read(0);
  }
}
