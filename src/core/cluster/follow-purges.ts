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
  readonly purges: Purges;
  readonly notifications: Notifications;
  readonly store: Pick<Store, 'content' | 'index'>;
  /** True while content is being downloaded to the disk. */
  readonly isArriving: (digest: Digest) => boolean;
  readonly limits: ClusterLimits;
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

  /** What is purged while it runs is removed by another run. */
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
        log.error({ err: error }, 'what was purged cannot be removed from the disk');
    }
  }

  async #removePending(): Promise<void> {
    const { purges, isArriving } = this.#options;
    for (;;) {
      const pending = await purges.pending(PURGES_AT_ONCE);
      // A download under way would bring it back, so it waits for the next run.
      const removable = pending.filter(({ digest }) => !isArriving(digest));
      for (const one of removable) {
        if (this.#isOver) return;
        await this.#remove(one);
      }
      if (removable.length < PURGES_AT_ONCE) return;
    }
  }

  /** Content that an upstream has confirmed again meanwhile stays. */
  async #remove(purge: PendingPurge): Promise<void> {
    const { purges, store, log } = this.#options;
    const { digest } = purge;
    if (!(await store.index.isLinkedAnywhere(digest)) && (await store.content.peek(digest)) !== undefined) {
      await store.content.remove(digest);
      log.info({ digest }, 'content that was purged is removed from the disk');
    }
    await purges.done(purge);
  }
}
