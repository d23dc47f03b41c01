/** Removes from the disk of this node what was purged on another one, at once or when this node is back. */
import type { ClusterLimits } from '../../cluster/limits.ts';
import type { Notifications } from '../../cluster/notifications.ts';
import type { PendingPurge, Purges } from '../../cluster/purges.ts';
import { DatabaseUnavailable } from '../../platform/database-unavailable.ts';
import type { Logger } from '../../platform/log.ts';
import { runPeriodically } from '../../platform/scheduling/periodic-task.ts';
import type { Digest } from '../../registry/digest.ts';
import type { Store } from '../store/store.ts';
import { PURGES_AT_ONCE } from './limits.ts';

export interface FollowPurgesOptions {
  readonly purges: Pick<Purges, 'pending' | 'done'>;
  readonly notifications: Pick<Notifications, 'on'>;
  readonly store: Pick<Store, 'content' | 'index'>;
  /** True while content is being downloaded to the disk. */
  readonly isArriving: (digest: Digest) => boolean;
  readonly limits: Pick<ClusterLimits, 'retryPurges'>;
  readonly log: Logger;
}

export class FollowedPurges implements AsyncDisposable {
  readonly #options: FollowPurgesOptions;
  readonly #retrying: AsyncDisposable;
  #running: Promise<void> | undefined;
  #isDue = false;
  #isOver = false;

  constructor(options: FollowPurgesOptions) {
    this.#options = options;
    const { notifications, limits, log } = options;
    notifications.on('purged', () => void this.#start());
    this.#retrying = runPeriodically(limits.retryPurges, async () => void (await this.#start()), log);
    void this.#start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    await this.#retrying[Symbol.asyncDispose]();
    await this.#running;
  }

  /** Starts a run. One that is under way looks for new purges before it ends. */
  #start(): Promise<void> {
    this.#isDue = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #run(): Promise<void> {
    const { log } = this.#options;
    try {
      while (this.#isDue && !this.#isOver) {
        this.#isDue = false;
        await this.#removePending();
      }
    } catch (error) {
      // It listens again when the database is back, which starts this too.
      if (!(error instanceof DatabaseUnavailable))
        log.error({ err: error }, 'the purges of other nodes cannot be followed');
    }
  }

  /** Tries each content once, so that one that cannot be removed does not hold up the others. */
  async #removePending(): Promise<void> {
    const { purges, log } = this.#options;
    const failures: unknown[] = [];
    let pending: readonly PendingPurge[];
    let after = 0;
    do {
      pending = await purges.pending(after, PURGES_AT_ONCE);
      for (const purge of pending) {
        if (this.#isOver) return;
        after = purge.fence;
        await this.#remove(purge).catch((error: unknown) => {
          if (error instanceof DatabaseUnavailable) throw error;
          failures.push(error);
        });
      }
    } while (pending.length === PURGES_AT_ONCE);
    const [err] = failures;
    if (err !== undefined)
      log.error({ digests: failures.length, err }, 'content that was purged cannot be removed from the disk');
  }

  async #remove(purge: PendingPurge): Promise<void> {
    const { purges, store, isArriving, log } = this.#options;
    const { digest } = purge;
    // A download under way would bring it back, so it waits for the next run.
    if (isArriving(digest)) return;
    // The disk is asked first, because a download that begins later has been confirmed again.
    const isHere = (await store.content.peek(digest)) !== undefined;
    if (isHere && !(await store.index.isLinkedAnywhere(digest))) {
      await store.content.remove(digest);
      log.info({ digest }, 'content that was purged is removed from the disk');
    }
    await purges.done(purge);
  }
}
