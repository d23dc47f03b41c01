import type { Clock } from '../../platform/clock.ts';
import type { HostedTags } from '../../protocol/hosted-api.ts';
import type { Digest } from '../../registry/digest.ts';
import type { Tag } from '../../registry/reference.ts';
import type { HostedDatabase } from './hosted-database.ts';
import { type HostedStatements, MOST_TAG_CHANGES } from './hosted-statements.ts';
import type { HostedStep } from './hosted-step.ts';
import { COLLECTION } from './limits.ts';
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

/** The history of tags, and the way back. */
export class TagHistory {
  readonly #database: HostedDatabase;
  readonly #clock: Clock;

  constructor(database: HostedDatabase, clock: Clock) {
    this.#database = database;
    this.#clock = clock;
  }

  /** Returns the tags of a repository, the latest first; undefined if there is no such repository. */
  list(repository: string): Promise<HostedTags | undefined> {
    return this.#database.read(function* (select) {
      const id = (yield* select.repository.get(repository))?.id;
      if (id === undefined) return undefined;
      const tags = yield* select.allTags.all(id);
      return tags.map(({ name, digest, set_at }) => ({ tag: name, digest, setAt: set_at }));
    });
  }

  /** Returns the changes of a tag, the newest first; undefined if there is no such repository. */
  history(repository: string, tag: Tag): Promise<readonly TagChange[] | undefined> {
    return this.#database.read(function* (select) {
      const id = (yield* select.repository.get(repository))?.id;
      return id === undefined ? undefined : yield* select.history.all(id, tag, MOST_TAG_CHANGES);
    });
  }

  /**
   * Undoes the last change of a tag. This is for operators, so it moves immutable tags too. The undo is
   * itself a change, so it can be undone.
   */
  restore(repository: string, tag: Tag, by: Author): Promise<RestoredTag> {
    return this.#database.change((statements) => this.#restore(statements, repository, tag, by));
  }

  *#restore(
    { select, change }: HostedStatements,
    repository: string,
    tag: Tag,
    by: Author,
  ): HostedStep<RestoredTag> {
    const id = (yield* select.repository.get(repository))?.id ?? 0;
    const digest = (yield* select.lastChange.get(id, tag))?.previous;
    if (digest == null) return { kind: 'unchanged' };
    if ((yield* select.manifestHead.get(id, digest)) === undefined) return { kind: 'gone', digest };
    const before = (yield* select.tag.get(id, tag))?.digest ?? null;
    yield* change.putTag.run(id, tag, digest, this.#clock());
    yield* change.addHistory.run(id, tag, digest, before, this.#clock(), by.subject, by.credential);
    return { kind: 'restored', digest, previous: before };
  }

  /** Removes old changes. The last one of a tag that exists stays, because it can be undone. */
  async trim(signal?: AbortSignal): Promise<void> {
    if (this.#database.failure !== undefined) return;
    const before = this.#clock() - COLLECTION.keepHistory;
    for (let after = 0; signal?.aborted !== true; ) {
      const batch = await this.#database.read((select) => select.historyAfter.all(after, COLLECTION.batch));
      const old = batch.filter(({ at }) => at < before);
      if (old.length > 0) await this.#remove(old);
      // Changes are in the order of time.
      const last = batch.at(-1);
      if (last === undefined || last.at >= before || batch.length < COLLECTION.batch) return;
      after = last.id;
    }
  }

  #remove(changes: readonly { readonly id: number; readonly repository: number; readonly tag: Tag }[]) {
    return this.#database.change(function* ({ select, change }) {
      for (const { id, repository, tag } of changes) {
        const isLast = (yield* select.laterChange.get(repository, tag, id)) === undefined;
        if (isLast && (yield* select.tag.get(repository, tag)) !== undefined) continue;
        yield* change.removeHistory.run(id);
      }
    });
  }
}

export type RestoredTag =
  | { readonly kind: 'restored'; readonly digest: Digest; readonly previous: Digest | null }
  /** There is no such tag, or it has not been changed. */
  | { readonly kind: 'unchanged' }
  /** The manifest that it meant before has been removed. */
  | { readonly kind: 'gone'; readonly digest: Digest };
