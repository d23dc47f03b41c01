import type { IncomingMessage } from 'node:http';
import type { Digest } from '../../registry/digest.ts';

/** The `Range` of a request. One that is bound to another state of the blob is none; but a digest has one state only. */
export function wantedRange(
  { headers }: Pick<IncomingMessage, 'headers'>,
  digest: Digest,
): string | undefined {
  const condition = headers['if-range'];
  return condition === undefined || condition === `"${digest}"` ? headers.range : undefined;
}
