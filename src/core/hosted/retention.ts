import { setImmediate as turn } from 'node:timers/promises';
import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/log.ts';
import type { Digest } from '../../registry/digest.ts';
import type { Tag } from '../../registry/reference.ts';
import { type HostedDuty, runOnDuty } from './duty.ts';
import type { HostedDatabase } from './hosted-database.ts';
import type { HostedRepository, HostedSelects, HostedStatements } from './hosted-statements.ts';
import type { HostedStep } from './hosted-step.ts';
import { COLLECTION } from './limits.ts';
import type { NamespaceRules, RetentionRules } from './namespace.ts';
import { removeManifest } from './remove.ts';
import { matchesTagPatterns } from './tag-pattern.ts';

export interface RetentionOptions {
  readonly database: HostedDatabase;
  readonly namespaces: readonly NamespaceRules[];
  readonly duty: HostedDuty;
  readonly clock: Clock;
  readonly log: Logger;
  /** The pause in milliseconds between two passes. */
  readonly every: number;
}

/** The tag or manifest that a rule removes. */
export interface RetentionRemoval {
  /** The path of the repository. */
  readonly repository: string;
  readonly tag?: Tag;
  readonly digest: Digest;
  readonly why: string;
}

/** The name under which removed tags are in the history. */
const AUTHOR = { subject: 'hubgate', credential: 'retention' };

/**
 * Removes what the rules of the namespaces say: tags that are old or unused, and manifests that have no tag.
 * An immutable tag goes too, because a rule that spares it would fill the disk. Every removal is judged again
 * in its own transaction.
 */
export class RetentionPass implements AsyncDisposable {
  readonly #options: RetentionOptions;
  readonly #running: AsyncDisposable;

  constructor(options: RetentionOptions) {
    this.#options = options;
    const { duty, every, log } = options;
    this.#running = runOnDuty(duty, every, (signal) => this.retain(signal), log);
  }

  /** Removes what is due, and resolves to it. */
  async retain(signal?: AbortSignal): Promise<readonly RetentionRemoval[]> {
    const { database, clock, log } = this.#options;
    const removals: RetentionRemoval[] = [];
    for await (const { repository, rules } of this.#repositories()) {
      for await (const removal of this.#removals(repository, rules)) {
        if (signal?.aborted) return removals;
        const isDone = await database.change((statements) =>
          remove(statements, repository, removal, rules, clock()),
        );
        if (!isDone) continue;
        removals.push(removal);
        log.info({ ...removal }, 'retention has removed hosted content');
      }
    }
    return removals;
  }

  /** Says what is due, and changes nothing. */
  async explain(): Promise<readonly RetentionRemoval[]> {
    const removals: RetentionRemoval[] = [];
    for await (const { repository, rules } of this.#repositories())
      removals.push(...(await Array.fromAsync(this.#removals(repository, rules))));
    return removals;
  }

  /** Yields the repositories of the namespaces that have rules. */
  async *#repositories(): AsyncGenerator<
    { readonly repository: HostedRepository; readonly rules: RetentionRules },
    void
  > {
    const { database, namespaces } = this.#options;
    if (database.failure !== undefined) return;
    for (const { name, retention: rules } of namespaces) {
      if (rules === undefined) continue;
      let after = `${name}/`;
      for (;;) {
        const repository = await database.read((select) => select.repositoriesAfter.get(after, name));
        if (repository === undefined) break;
        after = repository.path;
        yield { repository, rules };
      }
    }
  }

  async *#removals(
    repository: HostedRepository,
    rules: RetentionRules,
  ): AsyncGenerator<RetentionRemoval, void> {
    const { database, clock } = this.#options;
    yield* await database.read((select) => tagRemovals(select, repository, rules, clock()));
    const { untaggedAfter } = rules;
    if (untaggedAfter === undefined) return;
    let after = '';
    for (;;) {
      const before = clock() - untaggedAfter;
      const untagged = await database.read((select) =>
        select.untagged.all(repository.id, before, after, COLLECTION.batch),
      );
      for (const { digest } of untagged) {
        after = digest;
        const isDue = await database.read((select) =>
          isLongUntagged(select, repository.id, digest, before, clock()),
        );
        if (isDue) yield { repository: repository.path, digest, why: 'it has no tag' };
      }
      if (untagged.length < COLLECTION.batch) return;
      // Other work runs between two batches.
      await turn();
    }
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#running[Symbol.asyncDispose]();
  }
}

/**
 * The tags of signatures stay with their images, and do not count. The newest of the other tags stay too. Of
 * the rest, those go that nobody has used, or all if there is no time for that.
 */
function* tagRemovals(
  select: HostedSelects,
  { id, path }: HostedRepository,
  { keepLast, unusedFor, tags: patterns }: RetentionRules,
  now: number,
): HostedStep<readonly RetentionRemoval[]> {
  if (keepLast === undefined && unusedFor === undefined) return [];
  const tags = yield* select.tagsToRetain.all(id);
  return tags
    .filter(({ name }) => patterns === undefined || matchesTagPatterns(name, patterns))
    .slice(keepLast ?? 0)
    .filter(({ set_at, used_at }) => unusedFor === undefined || Math.max(set_at, used_at) < now - unusedFor)
    .map(({ name, digest }) => ({
      repository: path,
      tag: name,
      digest,
      why: unusedFor === undefined ? `it is not one of the newest ${keepLast} tags` : 'nobody has used it',
    }));
}

/**
 * A referrer goes with its subject. A manifest stays whose tag can still be restored, that was used a short
 * time ago, or whose index was deleted a short time ago.
 */
function* isLongUntagged(
  select: HostedSelects,
  id: number,
  digest: Digest,
  before: number,
  now: number,
): HostedStep<boolean> {
  const head = yield* select.manifestHead.get(id, digest);
  const replaced = (yield* select.lastReplaced.get(id, digest))?.at ?? 0;
  const lost = (yield* select.reviewAt.get(id, digest))?.review_at ?? 0;
  const isReferrer =
    head?.subject != null && (yield* select.manifestHead.get(id, head.subject)) !== undefined;
  return (
    head !== undefined &&
    !isReferrer &&
    head.pushed_at < before &&
    Math.max(head.pushed_at, head.used_at) < now - COLLECTION.lease &&
    lost <= now &&
    replaced < Math.min(before, now - COLLECTION.undo)
  );
}

/** Returns false if a push has come before. */
function* remove(
  statements: HostedStatements,
  { id, path }: HostedRepository,
  { tag, digest, why }: RetentionRemoval,
  { untaggedAfter = 0 }: RetentionRules,
  now: number,
): HostedStep<boolean> {
  const { select, change } = statements;
  if (tag !== undefined) {
    if ((yield* select.tag.get(id, tag))?.digest !== digest) return false;
    yield* change.removeTag.run(id, tag);
    yield* change.addHistory.run(id, tag, null, digest, now, AUTHOR.subject, AUTHOR.credential);
    yield* change.addRemoval.run(path, tag, digest, AUTHOR.credential, why);
    return true;
  }
  const isNeeded =
    (yield* select.anyTagOf.get(id, digest)) !== undefined ||
    (yield* select.anyParent.get(id, digest)) !== undefined;
  if (isNeeded || !(yield* isLongUntagged(select, id, digest, now - untaggedAfter, now))) return false;
  yield* removeManifest(statements, id, digest, now);
  yield* change.addRemoval.run(path, null, digest, AUTHOR.credential, why);
  return true;
}
