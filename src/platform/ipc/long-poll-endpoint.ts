import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { propertyOf } from '../object-properties.ts';
import type { ObservableValue } from '../observable-value.ts';
import { FOLLOWER, type FollowerCount, Followers } from './followers.ts';

/** The milliseconds that a request waits before it is answered that nothing has changed. */
export const LONGEST_WAIT = 10_000;

/** A request and its answer, such as Koa's context. */
interface PollRequest {
  readonly res: ServerResponse;
  readonly query: object;
  status: number;
  body: unknown;
  get(header: string): string;
  set(header: string, value: string): void;
}

/**
 * A value to which other roles subscribe by long polling: they send the version that they have, and wait for
 * another one.
 */
export interface LongPollEndpoint {
  /**
   * Answers at once if the value has changed, or if the request does not ask to wait; otherwise when it
   * changes.
   */
  answer(question: PollRequest): Promise<void>;
  /** Waits, for the time in `?wait=`, until all followers have the current answer. */
  followers(question: PollRequest): Promise<FollowerCount>;
}

/**
 * @param write makes the body of the answer, once for each value, because every follower asks
 * @param stopping ends the waiting
 * @param forgetAfter the time in milliseconds without a request after which a follower no longer acts on the
 * value that it has
 */
export function createLongPollEndpoint<T>(
  live: ObservableValue<T>,
  write: (value: T) => string,
  stopping: AbortSignal,
  forgetAfter = LONGEST_WAIT,
): LongPollEndpoint {
  const followers = new Followers(forgetAfter);
  let last: (TaggedAnswer & { readonly of: T }) | undefined;
  const current = (): TaggedAnswer => {
    if (last?.of === live.current) return last;
    const body = write(live.current);
    const etag = `"${createHash('sha256').update(body).digest('base64url')}"`;
    last = { of: live.current, body, etag };
    return last;
  };
  return {
    async answer(context) {
      const known = context.get('if-none-match');
      if (known !== '' && 'wait' in context.query) followers.note(context.get(FOLLOWER), known, context.res);
      if (current().etag === known && 'wait' in context.query) await waitForChange(context, live, stopping);
      const { etag, body } = current();
      context.set('etag', etag);
      if (etag === known) context.status = 304;
      else context.body = body;
    },
    followers: ({ query }) => followers.whenCurrent(() => current().etag, waitOf(query), stopping),
  };
}

interface TaggedAnswer {
  /** Differs if the body does. */
  readonly etag: string;
  readonly body: string;
}

/** Reads `?wait=MILLISECONDS`. The default is the longest possible wait. */
function waitOf(query: object): number {
  const wait = propertyOf(query, 'wait');
  const asked = typeof wait === 'string' && /^\d{1,6}$/.test(wait) ? Number(wait) : LONGEST_WAIT;
  return Math.min(asked, LONGEST_WAIT);
}

async function waitForChange(
  { res, query }: PollRequest,
  live: ObservableValue<unknown>,
  stopping: AbortSignal,
): Promise<void> {
  const gone = new AbortController();
  res.once('close', () => gone.abort());
  const signal = AbortSignal.any([stopping, gone.signal]);
  const late = delay(waitOf(query), undefined, { signal, ref: false }).catch(() => {});
  await Promise.race([live.changed(), late]);
  gone.abort();
}
