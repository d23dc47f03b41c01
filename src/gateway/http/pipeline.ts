import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

export interface PipelineLimits {
  /** The number of waiting requests at which the gateway stops reading the connection. */
  readonly pauseAt: number;
  /** The most waiting requests of a connection. With more, it is closed. */
  readonly each: number;
  /**
   * The most waiting requests of all connections together. With more, the connection that sends another one
   * is closed.
   */
  readonly total: number;
}

/**
 * Handles one request of a connection at a time. A client may send the next ones without waiting for the
 * answer (RFC 9112 §9.3.2), and Node would begin all of them at once. They are answered in order. While
 * several wait, the connection is not read, so TCP holds the client back.
 */
export function oneAtATime(handler: RequestListener, limits: PipelineLimits): RequestListener {
  const pipelines = new WeakMap<Socket, Pipeline>();
  const shared = { handler, limits, waiting: 0 };
  return (request, response) => {
    const { socket } = request;
    let pipeline = pipelines.get(socket);
    if (pipeline === undefined) {
      pipeline = new Pipeline(socket, shared);
      pipelines.set(socket, pipeline);
    }
    pipeline.take(request, response);
  };
}

interface Shared {
  readonly handler: RequestListener;
  readonly limits: PipelineLimits;
  /** The number of waiting requests of all connections. */
  waiting: number;
}

interface PipelinedExchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** The requests of one connection. */
class Pipeline {
  readonly #socket: Socket;
  readonly #shared: Shared;
  #isBusy = false;
  #isPaused = false;
  #isWatched = false;
  #waiting: PipelinedExchange[] = [];

  constructor(socket: Socket, shared: Shared) {
    this.#socket = socket;
    this.#shared = shared;
  }

  take(request: IncomingMessage, response: ServerResponse): void {
    if (this.#isBusy) this.#queue({ request, response });
    else this.#begin({ request, response });
  }

  #begin({ request, response }: PipelinedExchange): void {
    this.#isBusy = true;
    // Node emits 'close' when the response has ended, and when the connection has been lost.
    response.on('close', () => this.#next());
    this.#shared.handler(request, response);
  }

  #next(): void {
    this.#isBusy = false;
    // The remaining requests are dropped when the socket emits 'close'.
    if (this.#socket.destroyed) return;
    const next = this.#waiting.shift();
    if (next !== undefined) {
      this.#shared.waiting--;
      this.#begin(next);
    } else if (this.#isPaused) {
      // The connection must not be resumed earlier: while a large response is written, Node pauses its
      // parser, which fails (HPE_PAUSED) if more than one TLS record is read then.
      this.#isPaused = false;
      this.#socket.resume();
    }
  }

  #queue(exchange: PipelinedExchange): void {
    const { limits } = this.#shared;
    this.#watch();
    this.#waiting.push(exchange);
    this.#shared.waiting++;
    if (this.#waiting.length > limits.each || this.#shared.waiting > limits.total) this.#socket.destroy();
    else if (this.#waiting.length >= limits.pauseAt) {
      this.#isPaused = true;
      this.#socket.pause();
    }
  }

  #watch(): void {
    if (this.#isWatched) return;
    this.#isWatched = true;
    this.#socket.once('close', () => this.#drop());
    // Node resumes the socket when it has read a request to its end.
    this.#socket.on('resume', () => {
      if (this.#isPaused) this.#socket.pause();
    });
  }

  #drop(): void {
    const dropped = this.#waiting;
    this.#waiting = [];
    this.#shared.waiting -= dropped.length;
    // Node closes only the current response.
    for (const { response } of dropped) response.emit('close');
  }
}
