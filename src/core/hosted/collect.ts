import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/log.ts';
import type { Digest } from '../../registry/digest.ts';
import { type HostedDuty, runOnDuty } from './duty.ts';
import type { HostedContent } from './hosted-content.ts';
import type { HostedDatabase } from './hosted-database.ts';
import type { HostedSelects, HostedStatements } from './hosted-statements.ts';
import type { HostedStep } from './hosted-step.ts';
import { KeyedLock } from './keyed-lock.ts';
import { COLLECTION } from './limits.ts';
import { removeManifest } from './remove.ts';

export interface CollectionOptions {
  readonly database: HostedDatabase;
  readonly content: HostedContent;
  readonly locks: KeyedLock<Digest>;
  readonly duty: HostedDuty;
  readonly clock: Clock;
  readonly log: Logger;
  /** The pause in milliseconds between two looks at the queue. */
  readonly every: number;
  /** The pause in milliseconds between two comparisons of the files with the rows. */
  readonly compareEvery: number;
}

/** The name under which removed content is in the audit log. */
const CREDENTIAL = 'collection';

/** Content that may not be needed any more, in one repository. */
interface Candidate {
  readonly repository: number;
  /** The path of the repository. */
  readonly path: string;
  readonly digest: Digest;
}

/**
 * The decision about a candidate, and why. `keep`: something needs the content, so it is no candidate any
 * more. When what needs it is removed, the content becomes a candidate again. `wait`: the content is judged
 * again at `until`.
 */
export type CollectionDecision = { readonly why: string } & (
  | { readonly action: 'keep' | 'remove-blob' | 'remove-manifest' | 'remove-file' }
  | { readonly action: 'wait'; readonly until: number }
);

export interface ExplainedCandidate {
  /** The path of the repository. */
  readonly repository: string;
  readonly digest: Digest;
  readonly decision: CollectionDecision;
}

/**
 * Removes content that nothing needs, while pushes go on. Every candidate is judged and removed in one
 * transaction, so a push comes either before it and keeps the content, or after it and finds it missing. Rows
 * go before files: a crash in between leaves a file without a row, and never a row without its file.
 */
export class Collection implements AsyncDisposable {
  readonly #options: CollectionOptions;
  readonly #running = new AsyncDisposableStack();
  /** Files are removed, or a backup is taken, but never both at the same time. */
  readonly #removing = new KeyedLock<'files'>();

  constructor(options: CollectionOptions) {
    this.#options = options;
    const { duty, every, compareEvery, log } = options;
    this.#running.use(runOnDuty(duty, every, (signal) => this.collect(signal), log));
    this.#running.use(runOnDuty(duty, compareEvery, (signal) => this.removeOrphans(signal), log));
  }

  /**
   * Removes the files that no row names: a crash came before their rows were written, or after they were
   * removed. A young file may belong to a push under way.
   */
  removeOrphans(signal?: AbortSignal): Promise<void> {
    return this.#removing.run('files', () => this.#removeOrphans(signal));
  }

  /** Runs a task during which no file is removed. */
  withoutRemovals<T>(task: () => Promise<T>): Promise<T> {
    return this.#removing.run('files', task);
  }

  async #removeOrphans(signal?: AbortSignal): Promise<void> {
    const { database, content, locks, clock, log } = this.#options;
    if (database.failure !== undefined) return;
    for await (const digest of content.listOlder(clock() - COLLECTION.orphanedAfter)) {
      if (signal?.aborted) return;
      await locks.run(digest, async () => {
        if ((await database.read((select) => select.anyBlob.get(digest))) !== undefined) return;
        await content.remove(digest);
        await database.change(({ change }) =>
          change.addRemoval.run(null, null, digest, CREDENTIAL, 'no repository names its file'),
        );
        log.info({ digest }, 'a file that no hosted repository names was removed');
      });
    }
  }

  /** Removes what is due. Resolves to the number of removed blobs, manifests and files. */
  collect(signal?: AbortSignal): Promise<number> {
    return this.#removing.run('files', () => this.#collect(signal));
  }

  async #collect(signal?: AbortSignal): Promise<number> {
    const { database, clock } = this.#options;
    if (database.failure !== undefined) return 0;
    let removed = 0;
    for (;;) {
      const due = await database.read((select) => select.candidates.all(clock(), COLLECTION.batch));
      for (const candidate of due) {
        if (signal?.aborted) return removed;
        if (await this.#review(candidate)) removed++;
      }
      if (due.length < COLLECTION.batch) break;
    }
    if (removed > 0) await this.#boundRemovals();
    return removed;
  }

  /** Forgets the oldest removals that no gateway has fetched, because they must not fill the disk. */
  async #boundRemovals(): Promise<void> {
    const { database, log } = this.#options;
    const { waitingRemovals } = COLLECTION;
    const lines = await database.change(({ change }) => change.boundRemovals.run(waitingRemovals));
    if (lines > 0) log.error({ lines }, 'audit lines were lost: no gateway has fetched these removals');
  }

  /** Says what happens to each candidate, and changes nothing. */
  explain(until: number, most: number): Promise<readonly ExplainedCandidate[]> {
    const { database, clock } = this.#options;
    return database.read(function* (select) {
      const explained: ExplainedCandidate[] = [];
      for (const candidate of yield* select.candidates.all(until, most)) {
        const { path: repository, digest } = candidate;
        explained.push({ repository, digest, decision: yield* decide(select, candidate, clock()) });
      }
      return explained;
    });
  }

  /** Resolves to true if something was removed. */
  #review(candidate: Candidate): Promise<boolean> {
    return this.#options.locks.run(candidate.digest, async () => {
      const action = await this.#judge(candidate);
      // The first decision removed the row of this repository. The second one removes the file, if no other
      // repository has a row.
      if (action === 'remove-blob') await this.#judge(candidate);
      return action.startsWith('remove-');
    });
  }

  async #judge(candidate: Candidate): Promise<CollectionDecision['action']> {
    const { database, content, clock, log } = this.#options;
    const { repository, digest } = candidate;
    const { action, why } = await database.change(function* (statements) {
      const decided = yield* decideIfDue(statements.select, candidate, clock());
      yield* apply(statements, candidate, decided, clock());
      if (decided.action === 'remove-file') yield* content.forget(statements, digest);
      return decided;
    });
    if (action === 'remove-file') {
      await content.remove(digest);
      await database.change(({ change }) => change.removeCandidate.run(repository, digest));
    }
    if (action !== 'keep' && action !== 'wait')
      log.info({ digest, action, reason: why }, 'hosted content was collected');
    return action;
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#running.disposeAsync();
  }
}

/**
 * Judges a candidate again under the lock. Since it was read as due, a push may have used it, or its manifest
 * may have been deleted a moment ago.
 */
function* decideIfDue(
  select: HostedSelects,
  candidate: Candidate,
  now: number,
): HostedStep<CollectionDecision> {
  const until = (yield* select.reviewAt.get(candidate.repository, candidate.digest))?.review_at;
  if (until === undefined) return { action: 'keep', why: 'it is no candidate any more' };
  return until > now
    ? { action: 'wait', until, why: 'what needed it was deleted a short time ago' }
    : yield* decide(select, candidate, now);
}

function* decide(
  select: HostedSelects,
  { repository, digest }: Omit<Candidate, 'path'>,
  now: number,
): HostedStep<CollectionDecision> {
  const blob = yield* select.blob.get(repository, digest);
  const manifest = yield* select.manifestHead.get(repository, digest);
  if (blob === undefined && manifest === undefined)
    return (yield* select.anyBlob.get(digest)) === undefined
      ? { action: 'remove-file', why: 'no repository has it any more' }
      : { action: 'keep', why: 'another repository has it' };
  const parent = (yield* select.anyParent.get(repository, digest))?.parent;
  if (parent !== undefined) return { action: 'keep', why: `the manifest ${parent} names it` };
  if (blob !== undefined) {
    const until = blob.leased_until;
    return until > now
      ? { action: 'wait', until, why: 'its manifest may still come' }
      : { action: 'remove-blob', why: 'no manifest names it' };
  }
  return yield* decideManifest(select, { repository, digest }, now);
}

/** Judges a manifest that lost its index or its subject. */
function* decideManifest(
  select: HostedSelects,
  { repository, digest }: Omit<Candidate, 'path'>,
  now: number,
): HostedStep<CollectionDecision> {
  const tag = (yield* select.anyTagOf.get(repository, digest))?.name;
  if (tag !== undefined) return { action: 'keep', why: `the tag ${tag} names it` };
  const {
    subject = null,
    pushed_at = 0,
    used_at = 0,
  } = (yield* select.manifestHead.get(repository, digest)) ?? {};
  if (subject !== null && (yield* select.manifestHead.get(repository, subject)) !== undefined)
    return { action: 'keep', why: `it refers to ${subject}` };
  const undoable = ((yield* select.lastReplaced.get(repository, digest))?.at ?? 0) + COLLECTION.undo;
  const until = Math.max(undoable, Math.max(pushed_at, used_at) + COLLECTION.lease);
  return until > now
    ? { action: 'wait', until, why: 'it was pushed or used, or its tag was moved, a short time ago' }
    : { action: 'remove-manifest', why: 'no tag, no index and no subject needs it' };
}

function* apply(
  statements: HostedStatements,
  { repository, path, digest }: Candidate,
  decision: CollectionDecision,
  now: number,
): HostedStep<void> {
  const { select, change } = statements;
  switch (decision.action) {
    case 'keep':
      yield* change.removeCandidate.run(repository, digest);
      return;
    case 'wait':
      yield* change.postponeCandidate.run(decision.until, repository, digest);
      return;
    case 'remove-blob':
      // It stays a candidate: its file goes when no repository has it. If a manifest has the same bytes,
      // nobody has said that the manifest is not needed, and the file goes when files are compared with rows.
      yield* change.removeBlob.run(repository, digest);
      yield* change.addRemoval.run(path, null, digest, CREDENTIAL, decision.why);
      if ((yield* select.manifestHead.get(repository, digest)) !== undefined)
        yield* change.removeCandidate.run(repository, digest);
      return;
    case 'remove-manifest':
      yield* change.removeCandidate.run(repository, digest);
      yield* removeManifest(statements, repository, digest, now);
      yield* change.addRemoval.run(path, null, digest, CREDENTIAL, decision.why);
      return;
    case 'remove-file':
      // The row of the candidate goes after the file, so that a crash in between repeats this.
      return;
  }
}
