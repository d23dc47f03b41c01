import { LRUCache } from 'lru-cache';
import type { Copies } from '../../cluster/copies.ts';
import type { Notifications } from '../../cluster/notifications.ts';
import { DatabaseUnavailable } from '../../platform/database-unavailable.ts';
import type { Logger } from '../../platform/log.ts';
import { MutableValue } from '../../platform/observable-value.ts';
import type { PostgresQueries } from '../../platform/postgres.ts';
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
import { SharedKnowledge } from './shared-knowledge.ts';

export interface ClusterIndexOptions {
  /** The index of this node, which knows the content of its disk. */
  readonly local: IndexStore;
  readonly database: PostgresQueries;
  readonly notifications: Notifications;
  readonly copies: Copies;
  /** Called with content that is used, and with what it names; absent if there is no object store. */
  readonly onUsed?: ((digest: Digest) => void) | undefined;
  /** Says whether the knowledge in memory is used while the database is away. */
  readonly onDatabaseLoss: 'serve' | 'refuse';
  readonly log: Logger;
}

/** The knowledge about a repository that this node has in memory. */
interface Remembered {
  visibility?: VisibilityEntry;
  readonly links: Map<string, Link>;
  readonly tags: Map<Tag, TagEntry>;
}

const MAX_REPOSITORIES = 20_000;
/** The milliseconds between two attempts to withdraw something. */
const RETRY_EVERY = 500;
/** The keys of what is withdrawn of a repository. */
const VISIBILITY = 'visibility';
const LINK = 'link ';
const linkKey = (digest: Digest) => `${LINK}${digest}`;
/** The milliseconds between two counts of the repositories. */
const COUNT_EVERY = 10_000;
/** The most links and tags of one repository that are remembered. */
const MAX_ENTRIES = 10_000;

/**
 * The index of a node in a cluster. All nodes share what is known of repositories, in the database. What a
 * node has on its own disk only its own index knows.
 *
 * A node remembers what it was told, so that a cached pull asks the database nothing. It drops that when a
 * node withdraws something of the repository, and whenever it could have missed such a message.
 */
export class ClusterIndex implements IndexStore {
  readonly invalidations = new MutableValue(0);
  readonly #local: IndexStore;
  readonly #knowledge: SharedKnowledge;
  readonly #options: ClusterIndexOptions;
  readonly #remembered = new LRUCache<RepositoryName, Remembered>({ max: MAX_REPOSITORIES });
  /** Counts what was dropped, so that an answer that is older is not remembered. */
  #drops = 0;
  /**
   * The withdrawals of each repository that the database does not have yet. They hold on this node already,
   * and are tried again until they succeed.
   */
  readonly #pending = new Map<RepositoryName, Map<string, () => Promise<unknown>>>();
  #retrying: NodeJS.Timeout | undefined;
  /** A node that has lost its disk has none of the copies of an earlier run. */
  readonly #cleared: Promise<void>;
  /** The number of repositories, which is counted from time to time. */
  #repositories = { count: 0, at: Number.NEGATIVE_INFINITY };

  constructor(options: ClusterIndexOptions) {
    this.#options = options;
    this.#local = options.local;
    this.#knowledge = new SharedKnowledge(options.database);
    options.notifications.on('withdrawn', (repository) => this.#drop(repository));
    void this.#followLoss();
    this.#cleared = this.isNew ? options.copies.clear() : Promise.resolve();
  }

  get isNew(): boolean {
    return this.#local.isNew;
  }

  get failure(): Error | undefined {
    return this.#local.failure;
  }

  get onFailure(): ((error: Error) => void) | undefined {
    return this.#local.onFailure;
  }

  set onFailure(handler: ((error: Error) => void) | undefined) {
    this.#local.onFailure = handler;
  }

  probe(): Promise<void> {
    return this.#local.probe();
  }

  async link(repository: RepositoryName, kind: LinkKind, digest: Digest): Promise<Link | undefined> {
    if (this.#isWithdrawn(repository, digest)) return undefined;
    const key = `${kind} ${digest}`;
    return this.#recall(
      repository,
      ({ links }) => links.get(key),
      () => this.#knowledge.link(repository, kind, digest),
      ({ links }, link) => bounded(links).set(key, link),
    );
  }

  async putLink(repository: RepositoryName, digest: Digest, link: Link): Promise<void> {
    const put = () => this.#knowledge.putLink(repository, digest, link);
    await this.#put(repository, put, ({ links }) => {
      const key = `${link.kind} ${digest}`;
      const isPublic = link.public === true || links.get(key)?.public === true;
      bounded(links).set(key, { ...link, ...(isPublic && { public: true }) });
    });
  }

  async tag(repository: RepositoryName, tag: Tag): Promise<TagEntry | undefined> {
    if (this.#isWithdrawn(repository)) return undefined;
    return this.#recall(
      repository,
      ({ tags }) => tags.get(tag),
      () => this.#knowledge.tag(repository, tag),
      ({ tags }, entry) => bounded(tags).set(tag, entry),
    );
  }

  async putTag(repository: RepositoryName, tag: Tag, entry: TagEntry): Promise<void> {
    const before = this.#remembered.peek(repository)?.tags.get(tag);
    const put = () => this.#knowledge.putTag(repository, tag, entry);
    await this.#put(repository, put, ({ tags }) => bounded(tags).set(tag, entry));
    if (before !== undefined && before.digest !== entry.digest) this.#invalidate();
  }

  async removeTag(repository: RepositoryName, tag: Tag): Promise<void> {
    const drop = () => this.#remembered.peek(repository)?.tags.delete(tag);
    const remove = () => this.#knowledge.removeTag(repository, tag);
    await this.#withdraw(repository, `tag ${tag}`, remove, drop);
  }

  async visibility(repository: RepositoryName): Promise<VisibilityEntry | undefined> {
    if (this.#isWithdrawn(repository)) return undefined;
    return this.#recall(
      repository,
      ({ visibility }) => visibility,
      () => this.#knowledge.visibility(repository),
      (remembered, visibility) => {
        remembered.visibility = visibility;
      },
    );
  }

  async putVisibility(repository: RepositoryName, entry: VisibilityEntry): Promise<void> {
    const before = this.#remembered.peek(repository)?.visibility?.visibility;
    const put = () => this.#knowledge.putVisibility(repository, entry);
    if (entry.visibility === 'private') {
      const putPrivate = async () => {
        await put();
        return before === 'public';
      };
      const drop = () => this.#remembered.delete(repository);
      await this.#withdraw(repository, VISIBILITY, putPrivate, drop);
      return;
    }
    this.#done(repository, VISIBILITY);
    const putUnlessOlder = async () => {
      const isStored = await put();
      // Another node knows better. What this one remembers is outdated, and may be in use already.
      if (!isStored) this.#drop(repository);
      return isStored;
    };
    await this.#put(repository, putUnlessOlder, (remembered) => {
      remembered.visibility = entry;
    });
  }

  document(repository: RepositoryName, resource: string): Promise<DocumentEntry | undefined> {
    return this.#isWithdrawn(repository)
      ? Promise.resolve(undefined)
      : this.#knowledge.document(repository, resource);
  }

  putDocument(repository: RepositoryName, resource: string, entry: DocumentEntry): Promise<void> {
    const put = async () => {
      await this.#knowledge.putDocument(repository, resource, entry);
      return true;
    };
    return this.#put(repository, put, () => {});
  }

  async removeDocument(repository: RepositoryName, resource: string): Promise<void> {
    const remove = async () => {
      await this.#knowledge.removeDocument(repository, resource);
      return false;
    };
    await this.#withdraw(repository, `document ${resource}`, remove, () => {});
  }

  async forget(repository: RepositoryName, unlinked: Unlinked = async () => {}): Promise<void> {
    const remove = async () => {
      const digests = await this.#knowledge.forget(repository);
      if (digests.length > 0) await unlinked(digests);
      return true;
    };
    const drop = () => this.#remembered.delete(repository);
    await this.#withdraw(repository, 'repository', remove, drop);
  }

  async removeLink(repository: RepositoryName, digest: Digest): Promise<void> {
    const drop = () => {
      const links = this.#remembered.peek(repository)?.links;
      for (const kind of ['blob', 'manifest']) links?.delete(`${kind} ${digest}`);
    };
    const remove = () => this.#knowledge.removeLink(repository, digest);
    await this.#withdraw(repository, linkKey(digest), remove, drop);
  }

  isLinkedAnywhere(digest: Digest): Promise<boolean> {
    return this.#knowledge.isLinkedAnywhere(digest);
  }

  repositories(): Promise<readonly RepositoryEntry[]> {
    return this.#knowledge.repositories();
  }

  content(digest: Digest): Promise<ContentEntry | undefined> {
    return this.#local.content(digest);
  }

  async putContent(digest: Digest, entry: ContentEntry): Promise<void> {
    await this.#local.putContent(digest, entry);
    await this.#cleared;
    await this.#options.copies.put(digest);
  }

  putManifestType(digest: Digest, mediaType: ManifestMediaType): Promise<void> {
    return this.#local.putManifestType(digest, mediaType);
  }

  async removeContent(digest: Digest): Promise<void> {
    await this.#local.removeContent(digest);
    this.#invalidate();
    await this.#options.copies.remove(digest);
  }

  putChildren(parent: Digest, children: readonly Digest[]): Promise<void> {
    return this.#local.putChildren(parent, children);
  }

  touch(uses: ReadonlyMap<Digest, number>): Promise<void> {
    return this.#local.touch(uses, this.#options.onUsed);
  }

  unusedSince(before: number, limit: number): Promise<readonly UnusedContent[]> {
    return this.#local.unusedSince(before, limit);
  }

  uncheckedSince(before: number): Promise<Digest | undefined> {
    return this.#local.uncheckedSince(before);
  }

  putChecked(digest: Digest, at: number): Promise<void> {
    return this.#local.putChecked(digest, at);
  }

  async stats(): Promise<IndexStats> {
    const local = await this.#local.stats();
    const { count, at } = this.#repositories;
    if (performance.now() - at < COUNT_EVERY) return { ...local, repositories: count };
    const repositories = await this.#knowledge.count().catch(() => count);
    this.#repositories = { count: repositories, at: performance.now() };
    return { ...local, repositories };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#retrying);
    await this.#local[Symbol.asyncDispose]();
  }

  #invalidate(): void {
    this.invalidations.set(this.invalidations.current + 1);
  }

  #of(repository: RepositoryName): Remembered {
    const known = this.#remembered.get(repository);
    if (known !== undefined) return known;
    const fresh: Remembered = { links: new Map(), tags: new Map() };
    this.#remembered.set(repository, fresh);
    return fresh;
  }

  /** Drops what is remembered of a repository, or of all if a message may have been missed. */
  #drop(repository: string): void {
    this.#drops++;
    if (repository === '') {
      this.#remembered.clear();
      void this.#retry();
    } else this.#remembered.delete(repository as RepositoryName);
    this.#invalidate();
  }

  /**
   * Returns the value in memory as long as every message arrives. Otherwise asks the database. While that is
   * away, returns the value in memory nevertheless, if the configuration permits it.
   */
  async #recall<Value>(
    repository: RepositoryName,
    find: (remembered: Remembered) => Value | undefined,
    ask: () => Promise<Value | undefined>,
    keep: (remembered: Remembered, value: Value) => void,
  ): Promise<Value | undefined> {
    const remembered = this.#remembered.get(repository);
    const known = remembered && find(remembered);
    const { notifications, onDatabaseLoss } = this.#options;
    if (known !== undefined && notifications.isListening.current) return known;
    const drops = this.#drops;
    try {
      const value = await ask();
      if (value !== undefined && drops === this.#drops) keep(this.#of(repository), value);
      return value;
    } catch (error) {
      const isUsable = error instanceof DatabaseUnavailable && onDatabaseLoss === 'serve';
      if (known !== undefined && isUsable) return known;
      throw error;
    }
  }

  /**
   * Stores knowledge in the database and in memory. Losing it costs only a request to the upstream later.
   *
   * - It is not stored while a withdrawal in the repository is pending, because entries that are withdrawn
   *   here, and that the database still has, would count again.
   * - It is not kept in memory if entries were dropped meanwhile, because it may have been one of them.
   * - If the database is away, it is kept in memory only while no message can arrive. Otherwise another node
   *   could withdraw it, and no message would say so.
   */
  async #put(
    repository: RepositoryName,
    put: () => Promise<boolean>,
    keep: (remembered: Remembered) => void,
  ): Promise<void> {
    const drops = this.#drops;
    let isStored: boolean;
    try {
      if (!(await this.#settle(repository))) return;
      isStored = await put();
    } catch (error) {
      if (!(error instanceof DatabaseUnavailable)) throw error;
      isStored = !this.#options.notifications.isListening.current;
    }
    if (isStored && drops === this.#drops) keep(this.#of(repository));
  }

  /**
   * Runs a removal. If the database is away, it holds on this node, and is repeated. What is remembered is
   * dropped before and after it, because somebody may have remembered it again meanwhile. Counting the drops
   * keeps answers from being remembered that were asked for before.
   */
  async #withdraw(
    repository: RepositoryName,
    key: string,
    remove: () => Promise<boolean>,
    drop: () => void,
  ): Promise<void> {
    this.#drops++;
    drop();
    try {
      const isChanged = await remove();
      this.#drops++;
      drop();
      if (isChanged) this.#invalidate();
    } catch (error) {
      if (!(error instanceof DatabaseUnavailable)) throw error;
      this.#options.log.warn(
        { repository },
        'the other nodes do not know yet that something of a repository is withdrawn',
      );
      const pending = this.#pending.get(repository) ?? new Map<string, () => Promise<unknown>>();
      this.#pending.set(repository, pending.set(key, remove));
      this.#retryLater();
      this.#invalidate();
    }
  }

  /** True if something of the repository could not be withdrawn that concerns `digest`, or all of it. */
  #isWithdrawn(repository: RepositoryName, digest?: Digest): boolean {
    const pending = this.#pending.get(repository);
    if (pending === undefined) return false;
    const concerns = (key: string) =>
      !key.startsWith(LINK) || (digest !== undefined && key === linkKey(digest));
    return [...pending.keys()].some(concerns);
  }

  #done(repository: RepositoryName, key: string): void {
    const pending = this.#pending.get(repository);
    pending?.delete(key);
    if (pending?.size === 0) this.#pending.delete(repository);
  }

  /** Repeats what could not be withdrawn of a repository. Returns false if the database is still away. */
  async #settle(repository: RepositoryName): Promise<boolean> {
    const pending = this.#pending.get(repository);
    if (pending === undefined) return true;
    for (const [key, remove] of [...pending]) {
      try {
        await remove();
      } catch (error) {
        if (error instanceof DatabaseUnavailable) return false;
        throw error;
      }
      // A newer one may have failed meanwhile.
      if (pending.get(key) === remove) this.#done(repository, key);
    }
    return !this.#pending.has(repository);
  }

  #retryLater(): void {
    this.#retrying ??= setTimeout(() => {
      this.#retrying = undefined;
      void this.#retry();
    }, RETRY_EVERY).unref();
  }

  /** Repeats all that could not be withdrawn. The database may be back without a break in the messages. */
  async #retry(): Promise<void> {
    try {
      for (const repository of [...this.#pending.keys()]) if (!(await this.#settle(repository))) break;
    } catch (error) {
      this.#options.log.error({ err: error }, 'what is withdrawn cannot be told to the other nodes');
    }
    if (this.#pending.size > 0) this.#retryLater();
  }

  /** Without the database no gateway may use what it remembers, if the configuration says so. */
  async #followLoss(): Promise<void> {
    const { notifications, onDatabaseLoss } = this.#options;
    if (onDatabaseLoss === 'serve') return;
    for (;;) {
      await notifications.isListening.changed();
      if (!notifications.isListening.current) this.#invalidate();
    }
  }
}

/** Makes room in a map by dropping its oldest entry. */
function bounded<Key, Value>(map: Map<Key, Value>): Map<Key, Value> {
  if (map.size >= MAX_ENTRIES) {
    const [oldest] = map.keys();
    if (oldest !== undefined) map.delete(oldest);
  }
  return map;
}
