/**
 * Puts the blobs of hosted repositories into the object store. A blob is there before a row names it, under a
 * key that nobody else ever uses, so a row never lacks its object.
 */
import { hostedObjectKey } from '../../../cluster/objects/object-key.ts';
import type { ObjectUpload } from '../../../cluster/objects/object-parts.ts';
import { type ObjectStoreUnavailable, stored } from '../../../cluster/objects/object-result.ts';
import type { ObjectStore } from '../../../cluster/objects/object-store.ts';
import { algorithmOf, type Digest, hexOf } from '../../../registry/digest.ts';
import type { StoredUpload } from '../../hosted/hosted-content.ts';
import type { HostedDatabase } from '../../hosted/hosted-database.ts';
import type { HostedStatements } from '../../hosted/hosted-statements.ts';
import type { HostedStep } from '../../hosted/hosted-step.ts';
import { RefusedChange } from '../../hosted/refusal.ts';

export interface HostedUploadsOptions {
  readonly store: ObjectStore;
  /** The prefix of all keys. */
  readonly prefix: string;
  readonly database: Pick<HostedDatabase, 'read'>;
  /** Aborted when nothing is put any more. */
  readonly signal: AbortSignal;
}

/** A blob whose bytes were verified. */
export interface VerifiedBlob {
  /** Makes the key unique. No two uploads have the same. */
  readonly id: string;
  readonly digest: Digest;
  readonly size: number;
  readonly open: ObjectUpload['open'];
}

/** The knowledge of the database and of the store about a blob. */
type KnownObject =
  | { readonly kind: 'ok'; readonly value: StoredUpload }
  /** `lost` is the key that the database names although the store has nothing there. */
  | { readonly kind: 'absent'; readonly lost: string | undefined }
  | ObjectStoreUnavailable;

export class HostedUploads {
  readonly #options: HostedUploadsOptions;

  constructor(options: HostedUploadsOptions) {
    this.#options = options;
  }

  /** Looks for an object that the database names already. It is not put again, if the store still has it. */
  async find(digest: Digest, size: number, signal: AbortSignal): Promise<KnownObject> {
    const known = await this.keyOf(digest);
    if (known === undefined) return { kind: 'absent', lost: undefined };
    const found = await this.#options.store.size(known, signal);
    if (found.kind !== 'ok') return found;
    if (found.value !== size) return { kind: 'absent', lost: known };
    return stored({
      kind: 'stored',
      record: (statements) => requireKey(statements, digest, known),
      settle: async () => {},
    });
  }

  /** Puts a blob that `find` has not found. */
  async put(
    { id, digest, size, open }: VerifiedBlob,
    lost: string | undefined,
    signal: AbortSignal,
  ): Promise<StoredUpload | ObjectStoreUnavailable> {
    const { store, prefix } = this.#options;
    const key = hostedObjectKey(prefix, digest, id);
    const sha256 = algorithmOf(digest) === 'sha256' ? hexOf(digest) : undefined;
    const put = await store.put(key, { size, sha256, open }, AbortSignal.any([signal, this.#options.signal]));
    if (put.kind !== 'ok') return put;
    let counting = key;
    return {
      kind: 'stored',
      *record(statements) {
        counting = yield* recordKey(statements, { digest, size, key, lost });
      },
      settle: async (outcome) => {
        // Nothing names it, or another push of the same bytes came first.
        if (outcome === 'refused' || counting !== key) await this.#remove(key);
      },
    };
  }

  /** Resolves to the key of the object with the bytes of a blob; undefined if the database names none. */
  async keyOf(digest: Digest): Promise<string | undefined> {
    const row = await this.#options.database.read((select) => select.content.get(digest));
    return row?.object ?? undefined;
  }

  /** An object that stays is removed by the duty of the object store. */
  async #remove(key: string): Promise<void> {
    await this.#options.store.remove(key, this.#options.signal);
  }
}

interface PutKey {
  readonly digest: Digest;
  readonly size: number;
  readonly key: string;
  /** The key that was named before, although the store has nothing there. */
  readonly lost: string | undefined;
}

/** Returns the key that counts. It is another one if another push of the same bytes came first. */
function* recordKey(
  { select, change }: HostedStatements,
  { digest, size, key, lost }: PutKey,
): HostedStep<string> {
  if (lost !== undefined && (yield* select.content.get(digest))?.object === lost)
    yield* change.removeContent.run(digest);
  yield* change.putContent.run(digest, size, key);
  return (yield* select.content.get(digest))?.object ?? key;
}

/** @throws RefusedChange if the object was given up meanwhile, because no repository had the blob any more */
function* requireKey({ select }: HostedStatements, digest: Digest, key: string): HostedStep<void> {
  if ((yield* select.content.get(digest))?.object !== key)
    throw new RefusedChange('UNAVAILABLE', 'this blob was just removed; push it again');
}
