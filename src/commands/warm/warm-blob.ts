import { setTimeout as delay } from 'node:timers/promises';
import { type BlobSource, FillInterrupted } from '../../gateway/handover/blob-source.ts';
import type { Core, CoreAnswer } from '../../gateway/handover/core.ts';
import type { Digest } from '../../registry/digest.ts';
import type { Repository } from '../../registry/repository.ts';

export interface BlobOptions {
  readonly core: Core;
  readonly repository: Repository;
  readonly digest: Digest;
  /** True if it is asked for with a grant of private content. */
  readonly private: boolean;
  /** Told how many bytes more are here; `fills`: by a download that is under way. */
  readonly came: (bytes: number, fills: boolean) => void;
}

export type WarmedBlob =
  /** `filled`: it was not here, or not all of it. */
  | { readonly kind: 'here'; readonly filled: boolean }
  /** The core gives the bytes to its callers, and cannot keep them. */
  | { readonly kind: 'unwritable' }
  | Extract<CoreAnswer, { kind: 'refused' }>;

/** How often one blob survives that its fill is interrupted, as by a core that is started again. */
const ATTEMPTS = 4;
/** Milliseconds, times the attempts so far. A core that is ending answers still, and fetches nothing any more. */
const ASK_AGAIN_AFTER = 500;

/**
 * Has the core fetch a blob, and follows how far it has come. No byte of it comes here. Its bytes are right then, and the
 * core writes them to the disk for good by itself.
 *
 * @throws where it cannot be had to its end.
 */
export async function warmBlob({
  core,
  repository,
  digest,
  came,
  private: reachesPrivate,
}: BlobOptions): Promise<WarmedBlob> {
  let here = 0;
  // A fill that is asked for again begins where it was, as does what is told of it.
  const at = (position: number, fills: boolean) => {
    came(Math.max(0, position - here), fills);
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

/** Follows a blob to its end; false where it has to be asked for again. */
async function follow(
  source: BlobSource,
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

/** How far a blob has come, whenever it has, to its end. */
async function* positions(source: BlobSource): AsyncGenerator<number, void> {
  for (let at = 0; ; ) {
    const available = await source.available(at);
    if (available === at) return;
    at = available;
    yield at;
  }
}
