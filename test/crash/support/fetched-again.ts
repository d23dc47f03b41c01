import { type Digest, parseDigest } from '../../../src/registry/digest.ts';
import type { LogEntry } from '../../support/fake-hub.ts';

/** Returns which of `promised` the Hub was asked to send. */
export function fetchedAgain(log: readonly LogEntry[], promised: ReadonlySet<Digest>): Digest[] {
  return log.flatMap(({ method, path }) => {
    const digest = parseDigest(/sha256:\w+/.exec(path)?.[0] ?? '');
    return method === 'GET' && digest !== undefined && promised.has(digest) ? [digest] : [];
  });
}
