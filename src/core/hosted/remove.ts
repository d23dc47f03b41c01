import type { Clock } from '../../platform/clock.ts';
import type { Digest } from '../../registry/digest.ts';
import type { Reference, Tag } from '../../registry/reference.ts';
import type { HostedDatabase } from './hosted-database.ts';
import type { HostedStatements } from './hosted-statements.ts';
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

/** Removes tags, manifests and links to blobs. The collection removes what nothing needs any more. */
export class Removal {
  readonly #options: RemovalOptions;

  constructor(options: RemovalOptions) {
    this.#options = options;
  }

  /** A tag goes alone. A digest goes with all its tags, unless one of them is immutable. */
  manifest(repository: string, reference: Reference, by: Author): Promise<Removed | HostedRefusal> {
    return orRefusal(
      this.#options.database.change((statements) => {
        const id = statements.select.repository.get(repository)?.id;
        if (id === undefined) throw new RefusedChange('MANIFEST_UNKNOWN');
        if (reference.kind === 'tag') return this.#removeTag(statements, id, repository, reference.tag, by);
        this.#removeDigest(statements, id, repository, reference.digest, by);
        return { kind: 'removed' };
      }),
    );
  }

  /** A blob that a manifest of the repository names cannot be removed, because the manifest would be torn. */
  blob(repository: string, digest: Digest): Promise<Removed | HostedRefusal> {
    return orRefusal(
      this.#options.database.change(({ select, change }) => {
        const id = select.repository.get(repository)?.id;
        if (id === undefined || select.blob.get(id, digest) === undefined)
          throw new RefusedChange('BLOB_UNKNOWN');
        const parent = select.anyParent.get(id, digest)?.parent;
        if (parent !== undefined)
          throw new RefusedChange(
            'DENIED',
            `the manifest ${parent} needs this blob; delete that manifest first`,
          );
        change.removeBlob.run(id, digest);
        change.putCandidate.run(id, digest, this.#options.clock());
        return { kind: 'removed' };
      }),
    );
  }

  #removeTag(
    { select, change }: HostedStatements,
    id: number,
    repository: string,
    tag: Tag,
    by: Author,
  ): Removed {
    const { namespaces, clock } = this.#options;
    const before = select.tag.get(id, tag);
    if (before === undefined) throw new RefusedChange('MANIFEST_UNKNOWN');
    requireMovable(repository, tag, before, namespaces);
    change.removeTag.run(id, tag);
    change.addHistory.run(id, tag, null, before.digest, clock(), by.subject, by.credential);
    return { kind: 'removed', previous: before.digest };
  }

  #removeDigest(
    statements: HostedStatements,
    id: number,
    repository: string,
    digest: Digest,
    by: Author,
  ): void {
    const { select } = statements;
    if (select.manifestHead.get(id, digest) === undefined) throw new RefusedChange('MANIFEST_UNKNOWN');
    for (const { name } of select.tagsOf.all(id, digest))
      this.#removeTag(statements, id, repository, name, by);
    removeManifest(statements, id, digest, this.#options.clock());
  }
}

/** Removes a manifest without tags. What only it has needed becomes a candidate for the collection. */
export function removeManifest(
  { select, change }: HostedStatements,
  id: number,
  digest: Digest,
  now: number,
): void {
  for (const { child } of select.children.all(id, digest)) {
    const isBlob = select.blob.get(id, child) !== undefined;
    change.putCandidate.run(id, child, now + (isBlob ? COLLECTION.lease : COLLECTION.undo));
  }
  change.removeChildren.run(id, digest);
  change.removeManifest.run(id, digest);
  for (const { digest: referrer } of select.referrerDigests.all(id, digest))
    change.putCandidate.run(id, referrer, now + COLLECTION.undo);
}
