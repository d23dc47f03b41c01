import type { ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

/** The header by which a follower is known, whichever connection its questions come by. */
export const FOLLOWER = 'follower';

/** How many followers hold what is said now, and how many are not known to. */
export interface FollowerCount {
  readonly current: number;
  readonly behind: number;
}

interface Follower {
  readonly etag: string;
  readonly askedAt: number;
  /** To its last question. */
  readonly response: ServerResponse;
}

/** Milliseconds in which every follower asks a role that has just started. */
const ALL_ASK_WITHIN = 1_000;

/** Who follows an answer, and which one each of them holds: that of the tag with which it asks for another one. */
export class Followers {
  readonly #followers = new Map<string, Follower>();
  readonly #forgetAfter: number;
  readonly #begun = performance.now();
  #asked = Promise.withResolvers<void>();

  /** @param forgetAfter Milliseconds without a question after which nothing depends on what a follower holds. */
  constructor(forgetAfter: number) {
    this.#forgetAfter = forgetAfter;
  }

  /** Notes that somebody who holds the answer of `etag` asks for another one. */
  note(name: string, etag: string, response: ServerResponse): void {
    if (name === '') return;
    this.#followers.set(name, { etag, askedAt: performance.now(), response });
    response.once('close', () => {
      // It has not waited for its answer, so it has ended. One that hangs has not, and may go on some time.
      const hasGone = !response.writableFinished;
      if (hasGone && this.#followers.get(name)?.response === response) this.#followers.delete(name);
      this.#wake();
    });
    this.#wake();
  }

  /** Waits until there are followers and all hold the answer of `etag`, for so many milliseconds at the most. */
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
