import { PassThrough } from 'node:stream';
import { PeerFailed } from './ask-peer.ts';
import type { HttpClient } from './http-client.ts';
import { formatLine, type Lines, readLines } from './json-lines.ts';

export interface LineExchangeOptions {
  readonly path: string;
  /** The time-out of an answer in milliseconds. */
  readonly deadline: number;
}

interface OpenExchange {
  readonly questions: PassThrough;
  readonly answers: Lines;
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
    const line = formatLine(question);
    const answer = await this.#continue(line);
    return answer === undefined ? this.#begin(line) : answer;
  }

  /** Returns undefined if there is no exchange, or if it has ended. */
  async #continue(line: string): Promise<unknown> {
    if (this.#exchange === undefined) return undefined;
    const { questions, answers } = this.#exchange;
    const late = setTimeout(() => questions.destroy(), this.#options.deadline);
    try {
      questions.write(line);
      return await answers.next();
    } catch {
      return undefined;
    } finally {
      clearTimeout(late);
    }
  }

  async #begin(line: string): Promise<unknown> {
    const { path, deadline } = this.#options;
    let questions = new PassThrough();
    const body = () => {
      questions = new PassThrough();
      questions.write(line);
      return questions;
    };
    // The client's own deadline for headers begins only when the whole body is sent.
    const late = setTimeout(() => questions.destroy(new Error(`no answer within ${deadline} ms`)), deadline);
    try {
      const response = await this.#http.request({ method: 'POST', path, body, deadline });
      if (response.statusCode !== 200)
        throw new PeerFailed(`POST ${path} is answered by ${response.statusCode}`);
      const answers = readLines(response.body);
      const answer = await answers.next();
      this.#exchange = { questions, answers };
      return answer;
    } catch (error) {
      questions.destroy();
      throw error;
    } finally {
      clearTimeout(late);
    }
  }

  [Symbol.dispose](): void {
    this.#exchange?.questions.destroy();
  }
}
