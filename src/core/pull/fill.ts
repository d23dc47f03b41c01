import type { Hash } from 'node:crypto';
import type { Logger } from '../../platform/log.ts';
import type { Progress } from '../../registry/core-api.ts';
import { type Digest, matchesDigest, startHash } from '../../registry/digest.ts';
import type { PartialContent } from '../store/content-store.ts';
import type { BlobBody } from '../upstream/registry-client.ts';

/**
 * One download of one digest into the cache. It belongs to the cache and to no reader: readers come late and leave
 * early, and it goes on all the same. Bytes are hashed once, in order, and the cache owns them only if they are right.
 */
export class Fill {
  readonly digest: Digest;
  /** As the upstream announced it. */
  readonly size: number | undefined;
  /** Relative to the cache's directory. */
  readonly file: string;
  /** Settles when the fill has ended, either way. */
  readonly ended: Promise<void>;
  #progress: Progress = { kind: 'filling', written: 0 };
  #changed = Promise.withResolvers<void>();

  constructor(digest: Digest, { body, size }: BlobBody, partial: PartialContent, log: Logger) {
    this.digest = digest;
    this.size = size;
    this.file = partial.file;
    this.ended = this.#run(body, partial, log);
  }

  /** The progress now, and again whenever it has changed since the reader last looked, to the end. */
  async *progress(): AsyncGenerator<Progress, void> {
    let seen: Progress | undefined;
    for (;;) {
      if (this.#progress === seen) await this.#changed.promise;
      seen = this.#progress;
      yield seen;
      if (seen.kind !== 'filling') return;
    }
  }

  #advance(progress: Progress): void {
    this.#progress = progress;
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  async #run(body: BlobBody['body'], partial: PartialContent, log: Logger): Promise<void> {
    try {
      const { hash, written } = await this.#receive(body, partial);
      if (!matchesDigest(hash, this.digest)) throw new Error('the bytes are not what their digest says');
      // The readers need no more than right bytes; that these also outlive a power cut is the cache's own affair.
      this.#advance({ kind: 'verified', size: written });
      await partial.publish();
    } catch (error) {
      log.error({ digest: this.digest, error: (error as Error).message }, 'a fill did not reach the cache');
      if (this.#progress.kind === 'filling') this.#advance({ kind: 'failed' });
      await partial.discard().catch(() => {});
    }
  }

  async #receive(body: BlobBody['body'], partial: PartialContent): Promise<{ hash: Hash; written: number }> {
    const hash = startHash(this.digest);
    let written = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      await partial.append(chunk);
      hash.update(chunk);
      written += chunk.length;
      this.#advance({ kind: 'filling', written });
    }
    return { hash, written };
  }
}
