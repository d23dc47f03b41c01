import { LRUCache } from 'lru-cache';
import type { Digest } from '../../registry/digest.ts';
import type { ManifestMediaType } from '../../registry/media-type.ts';
import { MAX_DOCUMENT_SIZE } from '../limits.ts';
import type { FoundContent } from '../store/recorded-content.ts';
import type { Store } from '../store/store.ts';
import { childrenOf, whyInvalidManifest } from './validate-document.ts';

/** The stored content of a digest, checked as a manifest of one type; undefined if the store has none. */
export type ValidatedManifest =
  | { readonly kind: 'fit'; readonly bytes: Buffer }
  | { readonly kind: 'unfit'; readonly why: string }
  | undefined;

/** The most results that are cached here because they found invalid content. The index records the others. */
const MAX_UNFIT = 1_000;

/**
 * The stored content that may be sent as a manifest. A digest does not tell what its content is: it can have
 * come as a blob, or as a manifest of another type. So content is sent as a manifest only after it was
 * checked as one of exactly that type.
 */
export class ValidatedManifests {
  readonly #store: Store;
  /**
   * The reasons by digest and type. Invalid content stays invalid, so a repeated request needs no other
   * check.
   */
  readonly #unfit = new LRUCache<string, string>({ max: MAX_UNFIT });

  constructor(store: Store) {
    this.#store = store;
  }

  /** Checks stored content. `stored` is the content that the store has found already. */
  async read(
    digest: Digest,
    mediaType: ManifestMediaType,
    stored?: FoundContent,
  ): Promise<ValidatedManifest> {
    const { content } = this.#store;
    const found = stored ?? (await content.findTyped(digest));
    if (found === undefined) return undefined;
    if (found.location.size > MAX_DOCUMENT_SIZE) return { kind: 'unfit', why: 'larger than 4 MiB' };
    const isJudged = found.manifestType === mediaType;
    const known = isJudged ? undefined : this.#unfit.get(`${mediaType} ${digest}`);
    if (known !== undefined) return { kind: 'unfit', why: known };
    const bytes = await content.readFound(digest);
    if (bytes === undefined || isJudged) return bytes && { kind: 'fit', bytes };
    return this.#judge(digest, bytes, mediaType);
  }

  async #judge(digest: Digest, bytes: Buffer, mediaType: ManifestMediaType): Promise<ValidatedManifest> {
    const why = whyInvalidManifest(bytes, mediaType);
    if (why !== undefined) {
      this.#unfit.set(`${mediaType} ${digest}`, why);
      return { kind: 'unfit', why };
    }
    const { index } = this.#store;
    await index.putChildren(digest, childrenOf(bytes));
    await index.putManifestType(digest, mediaType);
    return { kind: 'fit', bytes };
  }
}
