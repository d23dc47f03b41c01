import type { Clock } from '../../platform/clock.ts';
import type { Digest } from '../../registry/digest.ts';
import type { Reference, Tag } from '../../registry/reference.ts';
import type { HostedDatabase } from './hosted-database.ts';
import type { HostedStatements } from './hosted-statements.ts';
import type { HostedStep } from './hosted-step.ts';
import { COLLECTION } from './limits.ts';
import type { NamespaceRules } from './namespace.ts';
import { type Author, requireMovable } from './push-manifest.ts';
import { type HostedRefusal, orRefusal, RefusedChange } from './refusal.ts';

export interface RemovalOptions {
  readonly database: HostedDatabase;
  readonly namespaces: readonly NamespaceRules[];
  readonly clock: Clock;
}

export interface Removed {
  readonly kind: 'removed';
  /** The digest that a removed tag meant. */
  readonly previous?: Digest;
}

const ASK_OPERATOR = 'it is not deleted, except by whoever runs this registry';

/** Removes tags, manifests and links to blobs. The collection removes what nothing needs any more. */
export class Removal {
  readonly #options: RemovalOptions;

  constructor(options: RemovalOptions) {
    this.#options = options;
  }

  /**
   * A tag goes alone. A digest goes with all its tags, unless an index names it, which would be torn. An
   * immutable tag goes only if `isForced` is true, which is for operators.
   */
  manifest(
    repository: string,
    reference: Reference,
    by: Author,
    isForced = false,
  ): Promise<Removed | HostedRefusal> {
    return orRefusal(
      this.#options.database.change((statements) =>
        this.#removeManifest({ statements, repository, by, isForced }, reference),
      ),
    );
  }

  /** A blob that a manifest of the repository names cannot be removed, because the manifest would be torn. */
  blob(repository: string, digest: Digest): Promise<Removed | HostedRefusal> {
    return orRefusal(
      this.#options.database.change((statements) => this.#removeBlob(statements, repository, digest)),
    );
  }

  *#removeBlob(
    { select, change }: HostedStatements,
    repository: string,
    digest: Digest,
  ): HostedStep<Removed> {
    const id = (yield* select.repository.get(repository))?.id;
    if (id === undefined || (yield* select.blob.get(id, digest)) === undefined)
      throw new RefusedChange('BLOB_UNKNOWN');
    const parent = (yield* select.anyParent.get(id, digest))?.parent;
    if (parent !== undefined)
      throw new RefusedChange('DENIED', `the manifest ${parent} needs this blob; delete that manifest first`);
    yield* change.removeBlob.run(id, digest);
    yield* change.putCandidate.run(id, digest, this.#options.clock());
    return { kind: 'removed' };
  }

  *#removeManifest(from: Omit<RemovalFrom, 'id'>, reference: Reference): HostedStep<Removed> {
    const id = (yield* from.statements.select.repository.get(from.repository))?.id;
    if (id === undefined) throw new RefusedChange('MANIFEST_UNKNOWN');
    return reference.kind === 'tag'
      ? yield* this.#removeTag({ ...from, id }, reference.tag)
      : yield* this.#removeDigest({ ...from, id }, reference.digest);
  }

  *#removeTag({ statements, id, repository, by, isForced }: RemovalFrom, tag: Tag): HostedStep<Removed> {
    const { select, change } = statements;
    const { namespaces, clock } = this.#options;
    const before = yield* select.tag.get(id, tag);
    if (before === undefined) throw new RefusedChange('MANIFEST_UNKNOWN');
    if (!isForced) requireMovable(repository, tag, before, namespaces, ASK_OPERATOR);
    yield* change.removeTag.run(id, tag);
    yield* change.addHistory.run(id, tag, null, before.digest, clock(), by.subject, by.credential);
    return { kind: 'removed', previous: before.digest };
  }

  *#removeDigest(at: RemovalFrom, digest: Digest): HostedStep<Removed> {
    const { statements, id } = at;
    const { select } = statements;
    if ((yield* select.manifestHead.get(id, digest)) === undefined)
      throw new RefusedChange('MANIFEST_UNKNOWN');
    const index = (yield* select.anyParent.get(id, digest))?.parent;
    if (index !== undefined)
      throw new RefusedChange('DENIED', `the index ${index} needs this manifest; delete that index first`);
    for (const { name } of yield* select.tagsOf.all(id, digest)) yield* this.#removeTag(at, name);
    yield* removeManifest(statements, id, digest, this.#options.clock());
    return { kind: 'removed' };
  }
}

/** The repository from which something is removed, and by whom. */
interface RemovalFrom {
  readonly statements: HostedStatements;
  readonly id: number;
  readonly repository: string;
  readonly by: Author;
  readonly isForced: boolean;
}

/** Removes a manifest without tags. What only it has needed becomes a candidate for the collection. */
export function* removeManifest(
  { select, change }: HostedStatements,
  id: number,
  digest: Digest,
  now: number,
): HostedStep<void> {
  for (const { child } of yield* select.children.all(id, digest)) {
    const isBlob = (yield* select.blob.get(id, child)) !== undefined;
    yield* change.putCandidate.run(id, child, now + (isBlob ? COLLECTION.lease : COLLECTION.undo));
  }
  yield* change.removeChildren.run(id, digest);
  yield* change.removeManifest.run(id, digest);
  for (const { digest: referrer } of yield* select.referrerDigests.all(id, digest))
    yield* change.putCandidate.run(id, referrer, now + COLLECTION.undo);
}
