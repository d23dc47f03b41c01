import type { ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

/** The header that identifies a follower, whichever connection its requests use. */
export const FOLLOWER = 'follower';

/** The number of followers that have the current answer, and of those that may not have it. */
export interface FollowerCount {
  readonly current: number;
  readonly behind: number;
}

interface Follower {
  readonly etag: string;
  readonly askedAt: number;
  /** The response to the follower's last request. */
  readonly response: ServerResponse;
}

/** The milliseconds within which every follower asks a role that has just started. */
const ALL_ASK_WITHIN = 1_000;

/**
 * Records the followers of an answer, and the version that each of them has: its next request carries the tag
 * of that version.
 */
export class Followers {
  readonly #followers = new Map<string, Follower>();
  readonly #forgetAfter: number;
  readonly #begun = performance.now();
  #asked = Promise.withResolvers<void>();

  /**
   * @param forgetAfter the time in milliseconds without a request after which nothing depends on what a
   * follower has
   */
  constructor(forgetAfter: number) {
    this.#forgetAfter = forgetAfter;
  }

  /** Records that a follower which has the answer of `etag` asks for the next one. */
  note(name: string, etag: string, response: ServerResponse): void {
    if (name === '') return;
    this.#followers.set(name, { etag, askedAt: performance.now(), response });
    response.once('close', () => {
      // A follower that dropped its request has ended. One that hangs has not dropped it, and may continue
      // for some time.
      const hasGone = !response.writableFinished;
      if (hasGone && this.#followers.get(name)?.response === response) this.#followers.delete(name);
      this.#wake();
    });
    this.#wake();
  }

  /**
   * Waits until there are followers and all have the answer of `etag`, at most for the given milliseconds.
   */
  async whenCurrent(etag: () => string, milliseconds: number, stopping: AbortSignal): Promise<FollowerCount> {
    const end = performance.now() + milliseconds;
    for (;;) {
      const counted = this.#count(etag());
      const now = performance.now();
      const complete = this.#begun + ALL_ASK_WITHIN;
      const isDone = counted.behind === 0 && counted.current > 0 && now >= complete;
      if (isDone || now >= end || stopping.aborted) return counted;
      await this.#nextQuestion((now < complete ? Math.min(end, complete) : end) - now, stopping);
    }
  }

  async #nextQuestion(milliseconds: number, stopping: AbortSignal): Promise<void> {
    const asked = new AbortController();
    const signal = AbortSignal.any([stopping, asked.signal]);
    const late = delay(milliseconds, undefined, { signal, ref: false }).catch(() => {});
    await Promise.race([this.#asked.promise, late]);
    asked.abort();
  }

  #count(etag: string): FollowerCount {
    const forgotten = performance.now() - this.#forgetAfter;
    for (const [name, { askedAt }] of this.#followers) if (askedAt < forgotten) this.#followers.delete(name);
    const all = [...this.#followers.values()];
    const current = all.filter((one) => one.etag === etag).length;
    return { current, behind: all.length - current };
  }

  #wake(): void {
    this.#asked.resolve();
    this.#asked = Promise.withResolvers();
  }
}
