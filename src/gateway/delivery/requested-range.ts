import type { IncomingMessage } from 'node:http';
import type { Digest } from '../../registry/digest.ts';

/** Returns the `Range` of a request. It is ignored if `If-Range` names anything except this digest. */
export function requestedRange(
  { headers }: Pick<IncomingMessage, 'headers'>,
  digest: Digest,
): string | undefined {
  const condition = headers['if-range'];
  return condition === undefined || condition === `"${digest}"` ? headers.range : undefined;
}
