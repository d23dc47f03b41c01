import type { ServerResponse } from 'node:http';
import { withinLoopBudget } from '../../platform/scheduling/event-loop-budget.ts';
import { peerAddress } from './client-address.ts';

/** Thrown to the writer if the client has gone. It is not a fault of the gateway. */
export class ClientGone extends Error {
  override readonly name = 'ClientGone';
}

/**
 * Writes a body chunk by chunk, with one chunk in flight: the buffer of a chunk is free again when its write
 * has returned. A write encrypts its chunk, so the event loop must not do hundreds of writes in one turn.
 */
export class ResponseBody {
  readonly #response: ServerResponse;
  /** Rejects the write that is in flight. */
  #abandon: ((error: Error) => void) | undefined;
  #gone: boolean;
  /** Behind a balancer, all clients share its address here, and their writes are done in order. */
  readonly #callerOf = () => (this.#response.socket === null ? '' : peerAddress(this.#response.socket));
  /** The bytes that were given to the system. Bytes that a closed connection still held back do not count. */
  written = 0;

  constructor(response: ServerResponse) {
    this.#response = response;
    // A write to a connection that is lost may never call back, and it may be lost already.
    this.#gone = response.destroyed;
    // Node emits 'close' once for each response, and `once` would cost more.
    response.on('close', () => {
      this.#gone = true;
      this.#abandon?.(new ClientGone());
    });
  }

  write(chunk: Uint8Array): Promise<void> {
    return withinLoopBudget(
      () => this.#send((done) => this.#response.write(chunk, done), chunk.length),
      this.#callerOf,
    );
  }

  /** Writes the last chunk together with the end. */
  end(chunk: Uint8Array): Promise<void> {
    return withinLoopBudget(
      () => this.#send((done) => this.#response.end(chunk, () => done()), chunk.length),
      this.#callerOf,
    );
  }

  #send(send: (done: (error?: Error | null) => void) => void, length: number): Promise<void> {
    if (this.#gone) return Promise.reject(new ClientGone());
    return new Promise((resolve, reject) => {
      this.#abandon = reject;
      send((error) => {
        this.#abandon = undefined;
        if (error) return reject(new ClientGone());
        this.written += length;
        resolve();
      });
    });
  }
}
