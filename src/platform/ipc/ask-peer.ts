import type { z } from 'zod';
import { isErrno } from '../reason.ts';
import { type HttpClient, type HttpRequest, PeerUnreachable } from './http-client.ts';
import { AnswerCutOff, type TextAnswer } from './text-exchange.ts';

/**
 * Thrown if another process of ours answers that it failed, or sends an invalid answer. That process logs the
 * reason.
 */
export class PeerFailed extends Error {
  override readonly name = 'PeerFailed';
  /** The answer that says so, if there is one. */
  readonly answer: TextAnswer | undefined;

  constructor(message: string, options?: ErrorOptions, answer?: TextAnswer) {
    super(message, options);
    this.answer = answer;
  }
}

/**
 * An answer can be cut off because the other process ended. The process that replaces it gives the next
 * answer.
 */
const ATTEMPTS = 3;

/**
 * Sends a request to another process of ours, which `peer` names, and reads the whole answer. If the answer
 * is cut off, a request that changes nothing is sent again.
 *
 * @throws PeerUnreachable if the process cannot be asked, or its answer is cut off
 * @throws PeerFailed if the process answers that it has failed
 */
export async function askPeer(http: HttpClient, peer: string, request: HttpRequest): Promise<TextAnswer> {
  const attempts = request.method === 'POST' ? 1 : ATTEMPTS;
  for (let attempt = 1; ; attempt++) {
    try {
      const answer = await http.ask(request);
      // The other side has chosen its status, so no status means a failure here.
      if (answer.statusCode < 500) return answer;
      const { method, path } = request;
      const words = `${peer} failed: it answers ${answer.statusCode} to ${method} ${path}`;
      throw new PeerFailed(words, undefined, answer);
    } catch (error) {
      if (attempt >= attempts || !isAnswerCutOff(error)) throw error;
    }
  }
}

function isAnswerCutOff(error: unknown): boolean {
  return error instanceof PeerUnreachable && error.cause instanceof AnswerCutOff;
}

/**
 * Parses a successful answer.
 *
 * @throws PeerFailed if the answer has another form
 */
export function parseAnswer<Schema extends z.ZodType>(
  peer: string,
  { statusCode, text }: TextAnswer,
  schema: Schema,
): z.output<Schema> {
  if (statusCode !== 200) throw new PeerFailed(`${peer} failed: it answers ${statusCode} in place of 200`);
  const json = parseJson(text);
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new PeerFailed(`${peer} failed: its answer is not what it should be`, { cause: parsed.error });
}

/** True if an answer broke off while its body was read. */
export function isCutOff(error: unknown): boolean {
  return isErrno(error, 'UND_ERR_SOCKET', 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH');
}

/** Returns undefined if the text is not JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
