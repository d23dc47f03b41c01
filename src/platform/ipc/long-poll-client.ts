import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../log.ts';
import { SingleFlight } from '../scheduling/single-flight.ts';
import { askPeer, PeerFailed } from './ask-peer.ts';
import { FOLLOWER } from './followers.ts';
import type { HttpClient } from './http-client.ts';
import { LONGEST_WAIT } from './long-poll-endpoint.ts';

/** A value from another role, with the ETag by which the next request says that it is known. */
export interface TaggedValue<T> {
  readonly etag: string;
  readonly value: T;
}

export interface LongPollOptions {
  /** The ETag of the known value. */
  readonly etag?: string | undefined;
  /** True to wait until the value has changed. */
  readonly wait: boolean;
}

/** Returns undefined if the known value is current. */
export type LongPoll<T> = (options: LongPollOptions) => Promise<TaggedValue<T> | undefined>;

/** The time-out in milliseconds, without the time for which the request asks the role to wait. */
const DEADLINE = 2_000;

/**
 * Asks `peer` once for the value at `path`. With `wait`, the answer comes when the value has changed.
 *
 * @throws PeerUnreachable, PeerFailed
 */
export async function longPoll<T>(
  http: HttpClient,
  {
    peer,
    path,
    read,
    longestWait,
    follower,
  }: {
    readonly peer: string;
    readonly path: string;
    readonly read: (text: string) => T | Promise<T>;
    /** The longest time, in milliseconds, for which the role may delay its answer. */
    readonly longestWait?: number;
    /** The name by which the role knows who has the answer. */
    readonly follower?: string;
  },
  { etag, wait }: LongPollOptions,
): Promise<TaggedValue<T> | undefined> {
  const { statusCode, headers, text } = await askPeer(http, peer, {
    method: 'GET',
    path: wait ? `${path}?wait${longestWait === undefined ? '' : `=${longestWait}`}` : path,
    headers: {
      ...(etag !== undefined && { 'if-none-match': etag }),
      ...(follower !== undefined && { [FOLLOWER]: follower }),
    },
    deadline: wait ? (longestWait ?? LONGEST_WAIT) + DEADLINE : DEADLINE,
  });
  if (statusCode === 304) return undefined;
  if (statusCode !== 200) throw new PeerFailed(`${peer} failed: it answers ${statusCode} to GET ${path}`);
  try {
    return { etag: String(headers.etag), value: await read(text) };
  } catch (cause) {
    throw new PeerFailed(`${peer} failed: what it answers to GET ${path} cannot be read`, { cause });
  }
}

/** The last value from the other role. */
export interface PolledValue<T> extends Disposable {
  readonly current: T;
  /** The milliseconds since the role's last answer. */
  readonly silentFor: number;
  /** Asks the role now. */
  refresh(): Promise<void>;
}

export interface PollValueOptions<T> {
  /** The name of the role, for the log. */
  readonly name: string;
  readonly log: Logger;
  /** The value until the role has answered; without it, the first answer is awaited. */
  readonly first?: TaggedValue<T>;
}

/** The milliseconds between two requests if the role cannot be asked, or does not wait as it should. */
const RETRY_AFTER = 300;

/**
 * Subscribes to a value of another role by long polling: one request always waits there for a change, so that
 * the change is known here at once. While the role cannot be asked, its last value is used. If that role is
 * auth, no token is issued meanwhile either, so the last value is used until the tokens have expired at most.
 *
 * @throws PeerUnreachable if the role does not answer the first time, and there is no `first`
 */
export async function pollValue<T>(
  ask: LongPoll<T>,
  { name, log, first }: PollValueOptions<T>,
): Promise<PolledValue<T>> {
  const begun = first ?? (await ask({ wait: false }));
  if (begun === undefined) throw new Error(`${name} says that nothing has changed before it said anything`);
  let known = begun;
  let heardAt = first === undefined ? performance.now() : Number.NEGATIVE_INFINITY;
  const stop = new AbortController();
  const asking = new SingleFlight<void>();
  const update = async (wait: boolean) => {
    const before = known;
    const next = await ask({ etag: before.etag, wait });
    heardAt = performance.now();
    // Two requests can be under way: an answer does not replace one that may be newer.
    if (next !== undefined && known === before) known = next;
  };
  const keepAsking = async () => {
    const { signal } = stop;
    while (!signal.aborted) {
      const before = known;
      const asked = performance.now();
      await update(true).catch((error: Error) => {
        if (!signal.aborted) log.warn({ reason: error.message }, `${name} cannot be asked`);
      });
      const isIdle = known === before && performance.now() - asked < RETRY_AFTER;
      if (isIdle) await delay(RETRY_AFTER, undefined, { signal, ref: false }).catch(() => {});
    }
  };
  void keepAsking();
  return {
    get current() {
      return known.value;
    },
    get silentFor() {
      return performance.now() - heardAt;
    },
    refresh: () =>
      asking.run('refresh', () =>
        update(false).catch((error: Error) => log.warn({ reason: error.message }, `${name} cannot be asked`)),
      ),
    [Symbol.dispose]: () => stop.abort(),
  };
}
