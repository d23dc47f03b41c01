import type { z } from 'zod';
import { isErrno, messageOf } from '../reason.ts';
import { type HttpClient, type HttpRequest, type HttpResponse, PeerUnreachable } from './http-client.ts';

/**
 * Thrown if another process of ours answers that it failed, or sends an invalid answer. That process logs the
 * reason.
 */
export class PeerFailed extends Error {
  override readonly name = 'PeerFailed';
}

/** A complete answer as text. The other side has chosen its status, so no status means a failure here. */
export interface PeerAnswer {
  readonly statusCode: number;
  readonly headers: HttpResponse['headers'];
  readonly text: string;
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
export async function askPeer(http: HttpClient, peer: string, request: HttpRequest): Promise<PeerAnswer> {
  const attempts = request.method === 'POST' ? 1 : ATTEMPTS;
  for (let attempt = 1; ; attempt++) {
    const response = await http.request(request);
    const answer = await readAnswer(response).catch((error: unknown) => cutOff(request, error));
    if (answer instanceof PeerUnreachable) {
      if (attempt < attempts) continue;
      throw answer;
    }
    if (answer.statusCode < 500) return answer;
    const { method, path } = request;
    throw new PeerFailed(`${peer} failed: it answers ${answer.statusCode} to ${method} ${path}`);
  }
}

/**
 * Parses a successful answer.
 *
 * @throws PeerFailed if the answer has another form
 */
export function parseAnswer<Schema extends z.ZodType>(
  peer: string,
  { statusCode, text }: PeerAnswer,
  schema: Schema,
): z.output<Schema> {
  if (statusCode !== 200) throw new PeerFailed(`${peer} failed: it answers ${statusCode} in place of 200`);
  const json = parseJson(text);
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new PeerFailed(`${peer} failed: its answer is not what it should be`, { cause: parsed.error });
}

async function readAnswer({ statusCode, headers, body }: HttpResponse): Promise<PeerAnswer> {
  const text = await body.text();
  // Node's server sends this status when it closes a connection because of a time-out, whatever the request
  // was.
  if (statusCode === REQUEST_TIMEOUT) throw new Error('the connection was given up');
  return { statusCode, headers, text };
}

const REQUEST_TIMEOUT = 408;

function cutOff({ method, path }: HttpRequest, cause: unknown): PeerUnreachable {
  return new PeerUnreachable(`${method} ${path}: the answer was cut off: ${messageOf(cause)}`, { cause });
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
