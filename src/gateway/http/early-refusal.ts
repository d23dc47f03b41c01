import type { IncomingMessage, ServerResponse } from 'node:http';
import { EARLY_REFUSAL } from '../limits.ts';

/**
 * Ends a response whose headers and body have been written, although the client may still be sending the body
 * of its request. If the connection were closed at once, the client might lose the response (RFC 9112 §9.6).
 * So a little more of the body is read, until the client has closed the connection.
 */
export function endEarly(request: IncomingMessage, response: ServerResponse): void {
  if (request.complete || request.destroyed) return void response.end();
  let left = EARLY_REFUSAL.mostBytes;
  const end = () => {
    clearTimeout(late);
    request.off('data', read);
    response.end();
  };
  const read = (bytes: Buffer) => {
    left -= bytes.length;
    if (left <= 0) end();
  };
  const late = setTimeout(end, EARLY_REFUSAL.longest).unref();
  response.once('close', () => clearTimeout(late));
  request.once('end', end).on('data', read);
}
