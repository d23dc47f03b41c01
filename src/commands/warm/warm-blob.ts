import { setTimeout as delay } from 'node:timers/promises';
import type { CoreAnswer, CoreClient } from '../../gateway/clients/core-client.ts';
import { type BlobReader, FillInterrupted } from '../../gateway/delivery/blob-reader.ts';
import type { Digest } from '../../registry/digest.ts';
import type { Repository } from '../../registry/repository.ts';

export interface BlobOptions {
  readonly core: CoreClient;
  readonly repository: Repository;
  readonly digest: Digest;
  /** True if the request has read access to private content. */
  readonly private: boolean;
  /**
   * Receives the number of bytes that have arrived. `fills` is true if they come from a download under way.
   */
  readonly onBytes: (bytes: number, fills: boolean) => void;
}

export type WarmedBlob =
  /** `filled` is true if some of the bytes were not cached before. */
  | { readonly kind: 'here'; readonly filled: boolean }
  /** The core streams the bytes to its callers, but cannot cache them. */
  | { readonly kind: 'unwritable' }
  | Extract<CoreAnswer, { kind: 'refused' }>;

/** The most attempts for one blob. A fill is interrupted if, for example, the core is restarted. */
const ATTEMPTS = 4;
/**
 * The pause in milliseconds, multiplied by the attempts so far. A core that is ending still answers, but
 * fetches nothing any more.
 */
const ASK_AGAIN_AFTER = 500;

/**
 * Makes the core fetch a blob, and follows its progress. No byte of it comes here. At the end the bytes are
 * verified, and the core makes them durable on its own.
 *
 * @throws if the blob cannot be fetched completely
 */
export async function warmBlob({
  core,
  repository,
  digest,
  onBytes,
  private: reachesPrivate,
}: BlobOptions): Promise<WarmedBlob> {
  let here = 0;
  // A repeated fill resumes where it was, and only the bytes after that are reported.
  const at = (position: number, fills: boolean) => {
    onBytes(Math.max(0, position - here), fills);
    here = Math.max(here, position);
  };
  for (let attempt = 1; ; attempt++) {
    const answer = await core.pull(
      { kind: 'blob', repository, digest },
      { method: 'GET', private: reachesPrivate },
    );
    if (answer.kind === 'refused') return answer;
    if (answer.kind === 'blob-stream') {
      answer.body.on('error', () => {}).destroy();
      return { kind: 'unwritable' };
    }
    if (answer.kind !== 'blob') throw new Error(`the core answers with a ${answer.kind} for a blob`);
    if (await follow(answer.source, at, attempt === ATTEMPTS))
      return { kind: 'here', filled: answer.source.filling || attempt > 1 };
    await delay(attempt * ASK_AGAIN_AFTER);
  }
}

/** Follows a blob to its end. Returns false if it has to be asked for again. */
async function follow(
  source: BlobReader,
  at: (position: number, fills: boolean) => void,
  isLast: boolean,
): Promise<boolean> {
  await using own = source;
  try {
    for await (const position of positions(own)) at(position, own.filling);
    return true;
  } catch (error) {
    if (error instanceof FillInterrupted && !isLast) return false;
    throw error;
  }
}

/** Yields how far a blob has come, each time that it grows, to its end. */
async function* positions(source: BlobReader): AsyncGenerator<number, void> {
  for (let at = 0; ; ) {
    const available = await source.available(at);
    if (available === at) return;
    at = available;
    yield at;
  }
}
