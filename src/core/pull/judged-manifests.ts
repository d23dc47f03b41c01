import { LRUCache } from 'lru-cache';
import type { Digest } from '../../registry/digest.ts';
import type { ManifestMediaType } from '../../registry/media-type.ts';
import { MAX_DOCUMENT_SIZE } from '../limits.ts';
import type { FoundContent } from '../store/recorded-content.ts';
import type { Store } from '../store/store.ts';
import { childrenOf, unfitManifest } from './manifest-document.ts';

/** The stored content of a digest, judged as a manifest of one type; undefined if the store has none. */
export type JudgedManifest =
  | { readonly kind: 'fit'; readonly bytes: Buffer }
  | { readonly kind: 'unfit'; readonly why: string }
  | undefined;

/**
 * The most judgements that are remembered here because they found unfit content. The index records the
 * others.
 */
const MAX_UNFIT = 1_000;

/**
 * The stored content that may be sent as a manifest. A digest says nothing of what its content is: it can have come as a
 * blob, or as a manifest of another type. So only what was judged as a manifest of the very type is sent as one.
 */
export class JudgedManifests {
  readonly #store: Store;
  /**
   * The reasons by digest and type. Unfit content stays unfit, so a repeated request costs no further
   * judgement.
   */
  readonly #unfit = new LRUCache<string, string>({ max: MAX_UNFIT });

  constructor(store: Store) {
    this.#store = store;
  }

  /** Judges stored content. `stored` is what the store has found already. */
  async read(digest: Digest, mediaType: ManifestMediaType, stored?: FoundContent): Promise<JudgedManifest> {
    const { content } = this.#store;
    const found = stored ?? (await content.find(digest));
    if (found === undefined) return undefined;
    if (found.size > MAX_DOCUMENT_SIZE) return { kind: 'unfit', why: 'larger than 4 MiB' };
    const isJudged = found.manifestType === mediaType;
    const known = isJudged ? undefined : this.#unfit.get(`${mediaType} ${digest}`);
    if (known !== undefined) return { kind: 'unfit', why: known };
    const bytes = await content.readFound(digest);
    if (bytes === undefined || isJudged) return bytes && { kind: 'fit', bytes };
    return this.#judge(digest, bytes, mediaType);
  }

  async #judge(digest: Digest, bytes: Buffer, mediaType: ManifestMediaType): Promise<JudgedManifest> {
    const why = unfitManifest(bytes, mediaType);
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
