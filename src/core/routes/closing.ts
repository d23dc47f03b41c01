import type { Context } from 'koa';

/** Returns a signal that is aborted when the gateway no longer waits for the answer. */
export function closingOf({ res }: Pick<Context, 'res'>): AbortSignal {
  const closing = new AbortController();
  if (res.closed) closing.abort();
  else res.once('close', () => closing.abort());
  return closing.signal;
}
