import type { Clock } from '../../platform/clock.ts';
import type { HostedTags } from '../../protocol/hosted-api.ts';
import type { Digest } from '../../registry/digest.ts';
import type { Tag } from '../../registry/reference.ts';
import type { HostedDatabase } from './hosted-database.ts';
import type { Author } from './push-manifest.ts';

export interface TagChange {
  /** The time in milliseconds since the epoch. */
  readonly at: number;
  /** The manifest that the tag named from then on; null if it was deleted. */
  readonly digest: Digest | null;
  /** The manifest that it named before; null if it was new. */
  readonly previous: Digest | null;
  readonly subject: string;
  readonly credential: string;
}

/** The most changes of a tag that are listed. */
const MOST_CHANGES = 1_000;

/** The history of tags, and the way back. */
export class TagHistory {
  readonly #database: HostedDatabase;
  readonly #clock: Clock;

  constructor(database: HostedDatabase, clock: Clock) {
    this.#database = database;
    this.#clock = clock;
  }

  /** Returns the tags of a repository, the latest first; undefined if there is no such repository. */
  list(repository: string): HostedTags | undefined {
    return this.#database.read((select) => {
      const id = select.repository.get(repository)?.id;
      if (id === undefined) return undefined;
      return select.allTags.all(id).map(({ name, digest, set_at }) => ({ tag: name, digest, setAt: set_at }));
    });
  }

  /** Returns the changes of a tag, the newest first; undefined if there is no such repository. */
  history(repository: string, tag: Tag): readonly TagChange[] | undefined {
    return this.#database.read((select) => {
      const id = select.repository.get(repository)?.id;
      return id === undefined ? undefined : select.history.all(id, tag, MOST_CHANGES);
    });
  }

  /**
   * Undoes the last change of a tag. This is for operators, so it moves immutable tags too. The undo is itself
   * a change, so it can be undone.
   */
  restore(repository: string, tag: Tag, by: Author): Promise<RestoredTag> {
    return this.#database.change(({ select, change }) => {
      const id = select.repository.get(repository)?.id ?? 0;
      const digest = select.lastChange.get(id, tag)?.previous;
      if (digest == null) return { kind: 'unchanged' };
      if (select.manifestHead.get(id, digest) === undefined) return { kind: 'gone', digest };
      const before = select.tag.get(id, tag)?.digest ?? null;
      change.putTag.run(id, tag, digest, this.#clock());
      change.addHistory.run(id, tag, digest, before, this.#clock(), by.subject, by.credential);
      return { kind: 'restored', digest, previous: before };
    });
  }
}

export type RestoredTag =
  | { readonly kind: 'restored'; readonly digest: Digest; readonly previous: Digest | null }
  /** There is no such tag, or it has not been changed. */
  | { readonly kind: 'unchanged' }
  /** The manifest that it meant before has been removed. */
  | { readonly kind: 'gone'; readonly digest: Digest };
