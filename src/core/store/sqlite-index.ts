import { existsSync, realpathSync } from 'node:fs';
import type { StatementResultingChanges } from 'node:sqlite';
import { setImmediate as turn } from 'node:timers/promises';
import type { Logger } from '../../platform/log.ts';
import { MutableValue } from '../../platform/observable-value.ts';
import { asError } from '../../platform/reason.ts';
import { runSlice } from '../../platform/scheduling/time-slicing.ts';
import type { Digest } from '../../registry/digest.ts';
import type { ManifestMediaType } from '../../registry/media-type.ts';
import type { Tag } from '../../registry/reference.ts';
import type { RepositoryName } from '../../registry/repository.ts';
import type {
  ContentEntry,
  DocumentEntry,
  IndexStats,
  IndexStore,
  Link,
  LinkKind,
  RepositoryEntry,
  TagEntry,
  Unlinked,
  UnusedContent,
  VisibilityEntry,
} from './index-store.ts';
import {
  isUnusable,
  type OpenIndexFile,
  openIndexFile,
  replaceUnusable,
  whyUnwritable,
  writeSubstitute,
} from './sqlite-file.ts';
import { type OpenDatabase, prepareStatements } from './sqlite-statements.ts';

/**
 * The most documents for each repository. Callers choose the page size of a list of tags, and the digests
 * whose referrers they ask for, so they determine how many different documents exist.
 */
export const DOCUMENTS_KEPT = { tags: 20, others: 500 };

/** The rows that are read at once if there may be very many. */
const BATCH = 500;

/**
 * The index in one SQLite file. A file that is torn, or of another version, is renamed and a new one begun:
 * losing the index costs only requests, and is not a reason not to start. The file is locked as long as it is
 * open, so a second core is refused.
 * @throws if the file can be neither used nor replaced.
 */
export function openSqliteIndex(file: string, log: Logger): IndexStore {
  const index = new SqliteIndex(behindLink(file), log);
  void index.finishForgetting();
  return index;
}

/** Resolves a symbolic link, because SQLite puts the journal beside the real file. */
function behindLink(file: string): string {
  return existsSync(file) ? realpathSync(file) : file;
}

class SqliteIndex implements IndexStore {
  readonly isNew: boolean;
  readonly invalidations = new MutableValue(0);
  onFailure: ((error: Error) => void) | undefined;
  readonly #file: string;
  readonly #log: Logger;
  #open: OpenDatabase;
  /** The reason why the open database is a substitute for the file. */
  #failure: Error | undefined;
  #failing = false;
  /** The repositories that should be forgotten and could not be. Nothing is known of them meanwhile. */
  readonly #unforgotten = new Set<RepositoryName>();

  constructor(file: string, log: Logger) {
    this.#file = file;
    this.#log = log;
    const { database, failure } = openIndexFile(file, log);
    this.#open = prepareStatements(database);
    this.#failure = failure;
    this.isNew = this.#open.select.anyContent.get() === undefined;
  }

  get failure(): Error | undefined {
    return this.#failure;
  }

  async probe(): Promise<void> {
    if (this.#failure !== undefined) {
      this.#open = prepareStatements(writeSubstitute(this.#open.database, this.#file, this.#log));
      this.#failure = undefined;
      return;
    }
    const { change } = this.#open;
    change.begin.run();
    try {
      change.probe.run();
      change.commit.run();
    } finally {
      if (this.#open.database.isTransaction) change.rollback.run();
    }
  }

  async link(repository: RepositoryName, kind: LinkKind, digest: Digest): Promise<Link | undefined> {
    const row = this.#find(repository, ({ select }) => select.link.get(repository, kind, digest));
    if (row === undefined) return undefined;
    const facts = {
      ...(row.public === 1 && { public: true }),
      ...(row.checked_at !== null && { checkedAt: row.checked_at }),
      ...(row.deleted_at !== null && { deletedAt: row.deleted_at }),
    };
    if (kind === 'blob') return { kind, ...facts };
    return row.media_type === null ? undefined : { kind, mediaType: row.media_type, ...facts };
  }

  async putLink(repository: RepositoryName, digest: Digest, link: Link): Promise<void> {
    const mediaType = link.kind === 'manifest' ? link.mediaType : null;
    const { checkedAt = null, deletedAt = null } = link;
    const isPublic = link.public === true ? 1 : 0;
    this.#write(({ change }) => {
      change.addRepository.run(repository);
      change.putLink.run(link.kind, digest, mediaType, isPublic, checkedAt, deletedAt, repository);
    });
  }

  async tag(repository: RepositoryName, tag: Tag): Promise<TagEntry | undefined> {
    const row = this.#find(repository, ({ select }) => select.tag.get(repository, tag));
    if (row === undefined) return undefined;
    return {
      digest: row.digest,
      mediaType: row.media_type,
      size: row.size,
      checkedAt: row.checked_at,
      ...(row.public === 1 && { public: true }),
    };
  }

  async putTag(repository: RepositoryName, tag: Tag, entry: TagEntry): Promise<void> {
    // This reads without an await before the write, so that no other write comes in between.
    const before = this.#find(repository, ({ select }) => select.tag.get(repository, tag))?.digest;
    this.#write(({ change }) => {
      change.addRepository.run(repository);
      const { digest, mediaType, size, checkedAt } = entry;
      const isPublic = entry.public === true ? 1 : 0;
      change.putTag.run(tag, digest, mediaType, size, checkedAt, isPublic, repository);
    });
    if (before !== undefined && before !== entry.digest) this.#invalidate();
  }

  async removeTag(repository: RepositoryName, tag: Tag): Promise<void> {
    this.#withdraw(({ change }) => change.removeTag.run(repository, tag));
  }

  async visibility(repository: RepositoryName): Promise<VisibilityEntry | undefined> {
    const row = this.#find(repository, ({ select }) => select.visibility.get(repository));
    if (row === undefined) return undefined;
    return {
      visibility: row.visibility,
      checkedAt: row.visibility_checked_at,
    };
  }

  async putVisibility(repository: RepositoryName, { visibility, checkedAt }: VisibilityEntry): Promise<void> {
    // This reads without an await before the write, so that no other write comes in between.
    const before = this.#find(repository, ({ select }) => select.visibility.get(repository))?.visibility;
    this.#write(({ change }) => {
      if (visibility === 'public') change.addRepository.run(repository);
      change.putVisibility.run(visibility, checkedAt, repository);
    });
    if (before === 'public' && visibility === 'private') this.#invalidate();
  }

  async document(repository: RepositoryName, resource: string): Promise<DocumentEntry | undefined> {
    const row = this.#find(repository, ({ select }) => select.document.get(repository, resource));
    if (row === undefined) return undefined;
    const { bytes, link, read_at: readAt } = row;
    return { bytes, linkHeader: link ?? undefined, readAt };
  }

  async putDocument(
    repository: RepositoryName,
    resource: string,
    { bytes, linkHeader, readAt }: DocumentEntry,
  ): Promise<void> {
    this.#write(({ change }) => {
      if (bytes.length > 0) change.addRepository.run(repository);
      change.putDocument.run(resource, bytes, linkHeader ?? null, readAt, repository);
      const isTags = resource.startsWith('tags/');
      const most = isTags ? DOCUMENTS_KEPT.tags : DOCUMENTS_KEPT.others;
      change.trimDocuments.run(repository, most, isTags ? 1 : 0);
    });
  }

  async removeDocument(repository: RepositoryName, resource: string): Promise<void> {
    this.#write(({ change }) => change.removeDocument.run(repository, resource));
  }

  async forget(repository: RepositoryName, unlinked: Unlinked = async () => {}): Promise<void> {
    const row = this.#try(({ select }) => select.repository.get(repository));
    if (this.#forget(repository) && row !== undefined) await this.#clear(row.id, unlinked);
  }

  /** Removes the rows of repositories that an earlier run has forgotten and had no time to remove. */
  async finishForgetting(): Promise<void> {
    const rows = this.#try(({ select }) => select.forgotten.all()) ?? [];
    for (const { id } of rows) await this.#clear(id, async () => {});
  }

  async removeLink(repository: RepositoryName, digest: Digest): Promise<void> {
    this.#withdraw(({ change }) => change.removeLink.run(repository, digest));
  }

  async isLinkedAnywhere(digest: Digest): Promise<boolean> {
    return this.#try(({ select }) => select.linked.get(digest)) !== undefined;
  }

  async repositories(): Promise<readonly RepositoryEntry[]> {
    const entries: RepositoryEntry[] = [];
    for (;;) {
      const last = entries.at(-1)?.name ?? '';
      const rows = this.#try(({ select }) => select.repositories.all(last, BATCH)) ?? [];
      for (const { name, visibility, visibility_checked_at: checkedAt, links, tags } of rows)
        entries.push({
          name: name,
          visibility: visibility ?? undefined,
          ...(visibility !== null && { visibilityCheckedAt: checkedAt }),
          digests: links,
          tags: tags,
        });
      if (rows.length < BATCH) return entries;
      await turn();
    }
  }

  async content(digest: Digest): Promise<ContentEntry | undefined> {
    const row = this.#try(({ select }) => select.content.get(digest));
    if (row === undefined) return undefined;
    const manifestType = row.manifest_type;
    return {
      size: row.size,
      usedAt: row.used_at,
      checkedAt: row.checked_at,
      ...(manifestType !== null && { manifestType }),
    };
  }

  async putContent(digest: Digest, { size, usedAt, checkedAt, manifestType }: ContentEntry): Promise<void> {
    this.#write(({ change }) => change.putContent.run(digest, size, usedAt, checkedAt, manifestType ?? null));
  }

  async putManifestType(digest: Digest, mediaType: ManifestMediaType): Promise<void> {
    this.#write(({ change }) => change.putManifestType.run(mediaType, digest));
  }

  async removeContent(digest: Digest): Promise<void> {
    this.#withdraw(({ change }) => change.removeContent.run(digest));
    this.#write(({ change }) => change.removeChildren.run(digest));
  }

  async putChildren(parent: Digest, children: readonly Digest[]): Promise<void> {
    await this.#inSlices(this.#puttingChildren(parent, children));
  }

  *#puttingChildren(parent: Digest, children: readonly Digest[]): Generator<void, void> {
    for (const child of children) {
      this.#open.change.putChild.run(parent, child);
      yield;
    }
  }

  async touch(uses: ReadonlyMap<Digest, number>, onUsed?: (digest: Digest) => void): Promise<void> {
    await this.#inSlices(this.#touching(uses, onUsed));
  }

  *#touching(uses: ReadonlyMap<Digest, number>, onUsed?: (digest: Digest) => void): Generator<void, void> {
    for (const [digest, at] of uses) {
      const used = new Set([digest]);
      for (const one of used) {
        this.#open.change.touch.run(one, at);
        onUsed?.(one);
        yield;
        for (const child of this.#childrenOf(one)) used.add(child);
      }
    }
  }

  *#childrenOf(parent: Digest): Generator<Digest, void> {
    for (let last = ''; ; ) {
      const rows = this.#open.select.children.all(parent, last, BATCH);
      for (const { child } of rows) {
        yield child;
        last = child;
      }
      if (rows.length < BATCH) return;
    }
  }

  async unusedSince(before: number, limit: number): Promise<readonly UnusedContent[]> {
    const rows = this.#try(({ select }) => select.unused.all(before, limit)) ?? [];
    return rows.map(({ digest, size }) => ({ digest: digest, size: size }));
  }

  async uncheckedSince(before: number): Promise<Digest | undefined> {
    return this.#try(({ select }) => select.unchecked.get(before))?.digest;
  }

  async putChecked(digest: Digest, at: number): Promise<void> {
    this.#write(({ change }) => change.putChecked.run(at, digest));
  }

  async stats(): Promise<IndexStats> {
    const row = this.#try(({ select }) => select.stats.get());
    return { blobs: row?.blobs ?? 0, bytes: row?.bytes ?? 0, repositories: row?.repositories ?? 0 };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#open.database.close();
  }

  #find<Row>(repository: RepositoryName, select: (open: OpenDatabase) => Row | undefined): Row | undefined {
    if (this.#unforgotten.has(repository) && !this.#forget(repository)) return undefined;
    return this.#try(select);
  }

  /**
   * Runs a write that removes something. Even if the write fails, what it should remove counts as invalid.
   */
  #withdraw(task: (open: OpenDatabase) => StatementResultingChanges): boolean {
    let changes: number | bigint = 1;
    const done = this.#write((open) => {
      changes = task(open).changes;
    });
    if (changes > 0) this.#invalidate();
    return done;
  }

  /**
   * Removes the rows of a repository that is forgotten. Rows that cannot be removed now are removed when the
   * index is opened next.
   */
  async #clear(id: number, unlinked: Unlinked): Promise<void> {
    for (;;) {
      const rows = this.#try(({ select }) => select.linksOf.all(id, BATCH));
      if (rows === undefined) return;
      const digests = new Set(rows.map(({ digest }) => digest));
      if (digests.size === 0) break;
      if (!(await this.#inSlices(this.#unlinking(id, digests)))) return;
      await unlinked([...digests]);
      await turn();
    }
    this.#write(({ change }) => change.removeRepository.run(id));
  }

  *#unlinking(id: number, digests: Iterable<Digest>): Generator<void, void> {
    for (const digest of digests) {
      this.#open.change.unlink.run(id, digest);
      yield;
    }
  }

  /**
   * Runs all steps of a long change, each slice of them as a transaction. Between two slices the event loop
   * does other work. Resolves to true if everything was written.
   */
  async #inSlices(steps: Iterator<void, void>): Promise<boolean> {
    for (;;) {
      let isDone = false;
      const isWritten = this.#write(({ database, change }) => {
        change.begin.run();
        try {
          isDone = runSlice(steps) !== undefined;
          change.commit.run();
        } finally {
          if (database.isTransaction) change.rollback.run();
        }
      });
      if (!isWritten || isDone) return isWritten;
      await turn();
    }
  }

  #invalidate(): void {
    this.invalidations.set(this.invalidations.current + 1);
  }

  #forget(repository: RepositoryName): boolean {
    const done = this.#withdraw(({ change }) => change.forget.run(repository));
    if (done) this.#unforgotten.delete(repository);
    else this.#unforgotten.add(repository);
    return done;
  }

  /** Returns true if the write succeeded. A lost link costs only a HEAD later. */
  #write(task: (open: OpenDatabase) => unknown): boolean {
    const done = this.#try((open) => {
      task(open);
      return true;
    });
    if (done === true) this.#failing = false;
    return done === true;
  }

  /**
   * Runs `task`. Returns undefined if it fails, for example on a full disk, because the core can still serve.
   */
  #try<T>(task: (open: OpenDatabase) => T): T | undefined {
    try {
      return task(this.#open);
    } catch (error) {
      if (isUnusable(error)) this.#beginAnew(asError(error));
      else if (!this.#failing) {
        this.#failing = true;
        this.#log.error({ file: this.#file, err: error }, 'the index fails');
        const failure = whyUnwritable(this.#file, error);
        if (failure !== undefined) this.onFailure?.(failure);
      }
      return undefined;
    }
  }

  #beginAnew(error: Error): void {
    this.#open.database.close();
    const { database, failure }: OpenIndexFile = replaceUnusable(this.#file, error, this.#log);
    this.#open = prepareStatements(database);
    this.#failure = failure;
    this.#invalidate();
    if (failure !== undefined) this.onFailure?.(failure);
  }
}
