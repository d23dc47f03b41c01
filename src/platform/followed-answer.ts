import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { FOLLOWER, type FollowerCount, Followers } from './followers.ts';
import type { Live } from './live.ts';

/** Milliseconds for which a question waits here before it is answered that nothing has changed. */
export const LONGEST_WAIT = 10_000;

/** A request, and what becomes its answer; Koa's context is one. */
interface Question {
  readonly res: ServerResponse;
  readonly query: object;
  status: number;
  body: unknown;
  get(header: string): string;
  set(header: string, value: string): void;
}

/** Something that other roles follow: they say what they know of it, and wait until there is something else. */
export interface FollowedAnswer {
  /** Answers when there is something new, if that is what is wanted. */
  answer(question: Question): Promise<void>;
  /** Waits as `?wait=` requests, until all followers hold the current answer. */
  followers(question: Question): Promise<FollowerCount>;
}

/**
 * `write` makes the answer's body of it: once for each value, for every follower asks. `stopping` ends the waiting. `forgetAfter`:
 * milliseconds without a question after which a follower does nothing any more by what it holds.
 */
export function followedAnswer<T>(
  live: Live<T>,
  write: (value: T) => string,
  stopping: AbortSignal,
  forgetAfter = LONGEST_WAIT,
): FollowedAnswer {
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
  /** Differs where the body does. */
  readonly etag: string;
  readonly body: string;
}

/** Reads `?wait=MILLISECONDS`. The default is the longest possible wait. */
function waitOf(query: object): number {
  const { wait } = query as { readonly wait?: unknown };
  const asked = typeof wait === 'string' && /^\d{1,6}$/.test(wait) ? Number(wait) : LONGEST_WAIT;
  return Math.min(asked, LONGEST_WAIT);
}

async function waitForChange(
  { res, query }: Question,
  live: Live<unknown>,
  stopping: AbortSignal,
): Promise<void> {
  const gone = new AbortController();
  res.once('close', () => gone.abort());
  const signal = AbortSignal.any([stopping, gone.signal]);
  const late = delay(waitOf(query), undefined, { signal, ref: false }).catch(() => {});
  await Promise.race([live.changed(), late]);
  gone.abort();
}
