import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../../platform/log.ts';
import { SingleFlight } from '../../platform/single-flight.ts';

/** Something that auth tells, with the tag by which it is told that this is known. */
export interface TaggedValue<T> {
  readonly etag: string;
  readonly value: T;
}

export interface AskOptions {
  /** Of what is known. */
  readonly etag?: string | undefined;
  /** Wait until there is something else? */
  readonly wait: boolean;
}

/** Undefined: what is known holds. */
export type AskAuth<T> = (options: AskOptions) => Promise<TaggedValue<T> | undefined>;

/** What auth said last. */
export interface FollowedAuth<T> extends Disposable {
  readonly current: T;
  /** Asks now. */
  refresh(): Promise<void>;
}

/** Milliseconds between two questions where auth cannot be asked, or does not wait as it should. */
const RETRY_AFTER = 300;

/**
 * Follows what auth says: a question always waits there for a change, so that it is known here at once. While auth cannot be
 * asked, what it said last holds: no token is issued meanwhile either, so that ends with the life of those that there are.
 *
 * @throws PeerUnreachable where auth does not answer the first time.
 */
export async function followAuth<T>(ask: AskAuth<T>, log: Logger): Promise<FollowedAuth<T>> {
  const first = await ask({ wait: false });
  if (first === undefined) throw new Error('auth says that nothing has changed before it said anything');
  let known = first;
  const stop = new AbortController();
  const asking = new SingleFlight<void>();
  const learn = async (wait: boolean) => {
    const before = known;
    const next = await ask({ etag: before.etag, wait });
    // Two questions can be under way: an answer does not replace one that may be younger.
    if (next !== undefined && known === before) known = next;
  };
  const follow = async () => {
    const { signal } = stop;
    while (!signal.aborted) {
      const before = known;
      const asked = performance.now();
      await learn(true).catch((error: Error) => {
        if (!signal.aborted) log.warn({ error: error.message }, 'auth cannot be asked');
      });
      const isIdle = known === before && performance.now() - asked < RETRY_AFTER;
      if (isIdle) await delay(RETRY_AFTER, undefined, { signal, ref: false }).catch(() => {});
    }
  };
  void follow();
  return {
    get current() {
      return known.value;
    },
    refresh: () =>
      asking.run('refresh', () =>
        learn(false).catch((error: Error) => log.warn({ error: error.message }, 'auth cannot be asked')),
      ),
    [Symbol.dispose]: () => stop.abort(),
  };
}
