import { PassThrough } from 'node:stream';
import { PeerFailed } from './ask-peer.ts';
import type { HttpClient } from './http-client.ts';
import { type Lines, readLines, writeLine } from './json-lines.ts';

export interface LineExchangeOptions {
  readonly path: string;
  /** The time-out of an answer in milliseconds. */
  readonly deadline: number;
}

interface OpenExchange {
  readonly up: PassThrough;
  readonly down: Lines;
}

/**
 * Sends questions to another role, one after the other, as the lines of one request; each is answered by a
 * line. A request for each question would cost both sides several times as much. The request may end at any
 * time, and the next question begins another one.
 */
export class LineExchange implements Disposable {
  readonly #http: HttpClient;
  readonly #options: LineExchangeOptions;
  #exchange: OpenExchange | undefined;

  constructor(http: HttpClient, options: LineExchangeOptions) {
    this.#http = http;
    this.#options = options;
  }

  /**
   * Asks a question. It may only be called after the previous question is answered. A question that is sent
   * as an exchange ends is repeated in the next exchange, so the other side may receive it twice.
   *
   * @throws if the question is not answered
   */
  async ask(question: unknown): Promise<unknown> {
    const line = writeLine(question);
    const answer = await this.#goOn(line);
    return answer === undefined ? this.#begin(line) : answer;
  }

  /** Returns undefined if there is no exchange, or if it has ended. */
  async #goOn(line: string): Promise<unknown> {
    if (this.#exchange === undefined) return undefined;
    const { up, down } = this.#exchange;
    const late = setTimeout(() => up.destroy(), this.#options.deadline);
    try {
      up.write(line);
      return await down.next();
    } catch {
      return undefined;
    } finally {
      clearTimeout(late);
    }
  }

  async #begin(line: string): Promise<unknown> {
    const { path, deadline } = this.#options;
    let up = new PassThrough();
    const body = () => {
      up = new PassThrough();
      up.write(line);
      return up;
    };
    // The client's own deadline for headers begins only when the whole body is sent.
    const late = setTimeout(() => up.destroy(new Error(`no answer within ${deadline} ms`)), deadline);
    try {
      const response = await this.#http.request({ method: 'POST', path, body, deadline });
      if (response.statusCode !== 200)
        throw new PeerFailed(`POST ${path} is answered by ${response.statusCode}`);
      const down = readLines(response.body);
      const answer = await down.next();
      this.#exchange = { up, down };
      return answer;
    } catch (error) {
      up.destroy();
      throw error;
    } finally {
      clearTimeout(late);
    }
  }

  [Symbol.dispose](): void {
    this.#exchange?.up.destroy();
  }
}
