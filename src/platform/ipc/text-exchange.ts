import { messageOf } from '../reason.ts';
import { DeadlineError } from '../scheduling/deadline.ts';
import type { Dispatcher, ReceivedHeaders } from '../undici.ts';

/** A complete answer as text. */
export interface TextAnswer {
  readonly statusCode: number;
  readonly headers: ReceivedHeaders;
  readonly text: string;
}

export interface TextExchangeOptions {
  /** The time by the monotonic clock until which the headers of the answer must arrive. */
  readonly end: number;
  /** Aborted when the caller has gone. An answer whose headers have arrived continues. */
  readonly signal: AbortSignal | undefined;
}

/** Thrown if an answer breaks off after its headers. */
export class AnswerCutOff extends Error {
  override readonly name = 'AnswerCutOff';
}

/**
 * Node's server sends this status when it closes a connection because of a time-out, whatever the request
 * was.
 */
const REQUEST_TIMEOUT = 408;

/**
 * Sends a request and reads the whole answer. undici's own `request` does the same with a stream, an abort
 * signal and an async resource for each answer, which cost more than a short answer does.
 *
 * @throws AnswerCutOff; DeadlineError; the reason of the signal; and undici's errors
 */
export function exchangeText(
  dispatcher: Dispatcher,
  request: Dispatcher.DispatchOptions,
  options: TextExchangeOptions,
): Promise<TextAnswer> {
  const exchange = new TextExchange(options);
  dispatcher.dispatch(request, exchange);
  return exchange.answer;
}

/** undici calls its methods in the order in which the parts of an answer arrive. */
class TextExchange implements Dispatcher.DispatchHandler {
  readonly answer: Promise<TextAnswer>;
  readonly #resolve: (answer: TextAnswer) => void;
  readonly #reject: (error: Error) => void;
  readonly #late: NodeJS.Timeout;
  readonly #signal: AbortSignal | undefined;
  readonly #abort = () => this.#giveUp(this.#signal?.reason);
  #controller: Dispatcher.DispatchController | undefined;
  /** The reason why nobody waits for the answer any more. */
  #reason: Error | undefined;
  #statusCode = 0;
  #headers: ReceivedHeaders = {};
  readonly #chunks: Buffer[] = [];

  constructor({ end, signal }: TextExchangeOptions) {
    const { promise, resolve, reject } = Promise.withResolvers<TextAnswer>();
    this.answer = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#signal = signal;
    signal?.addEventListener('abort', this.#abort, { once: true });
    const left = Math.max(0, Math.ceil(end - performance.now()));
    this.#late = setTimeout(() => this.#giveUp(new DeadlineError()), left);
  }

  /** undici calls this when it has a connection for the request. The caller may have gone by then. */
  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#reason !== undefined) controller.abort(this.#reason);
  }

  onResponseStart(_: unknown, statusCode: number, headers: ReceivedHeaders): void {
    if (statusCode < 200) return;
    this.#stopWaiting();
    this.#statusCode = statusCode;
    this.#headers = headers;
  }

  onResponseData(_: unknown, chunk: Buffer): void {
    this.#chunks.push(chunk);
  }

  onResponseEnd(): void {
    const [first, ...rest] = this.#chunks;
    const bytes = rest.length === 0 ? first : Buffer.concat(this.#chunks);
    const text = bytes?.toString('utf8') ?? '';
    if (this.#statusCode === REQUEST_TIMEOUT) this.#reject(cutOff(new Error('the connection was given up')));
    else this.#resolve({ statusCode: this.#statusCode, headers: this.#headers, text });
  }

  onResponseError(_: unknown, error: Error): void {
    this.#stopWaiting();
    this.#reject(this.#statusCode === 0 ? error : cutOff(error));
  }

  #giveUp(reason: Error): void {
    this.#stopWaiting();
    this.#reason = reason;
    this.#reject(reason);
    this.#controller?.abort(reason);
  }

  #stopWaiting(): void {
    clearTimeout(this.#late);
    this.#signal?.removeEventListener('abort', this.#abort);
  }
}

function cutOff(cause: Error): AnswerCutOff {
  return new AnswerCutOff(`the answer was cut off: ${messageOf(cause)}`, { cause });
}
