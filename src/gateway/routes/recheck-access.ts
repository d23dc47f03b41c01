import type { IncomingMessage } from 'node:http';
import type { ActiveCredentials } from '../authentication/active-credentials.ts';
import type { Authentication } from '../authentication/authenticate-client.ts';
import { PUSHES } from '../limits.ts';

export interface RecheckedAccess extends Disposable {
  /** Aborted when the client has gone, or when it may not do any more what it was allowed to begin. */
  readonly signal: AbortSignal;
}

export interface RecheckAccessOptions {
  readonly credentials: Pick<ActiveCredentials, 'find' | 'throwIfStale'>;
  /** Decides by the current policy. */
  readonly isAllowed: () => boolean;
}

/**
 * Checks again and again whether a request may go on that takes long, because its body comes slowly, it waits
 * for its turn, or the core copies a blob for it. Its token counts as long as it was valid when the headers
 * came, because clients get another one only between two requests. The policy and the credential behind the
 * token must hold at every moment.
 */
export function recheckAccess(
  request: IncomingMessage,
  authentication: Authentication,
  options: RecheckAccessOptions,
): RecheckedAccess {
  const withdrawn = new AbortController();
  const signal = AbortSignal.any([request.signal, withdrawn.signal]);
  const check = async () => {
    if (!(await isInForce(authentication, options)) || !options.isAllowed()) withdrawn.abort();
  };
  const timer = setInterval(() => void check().catch(() => withdrawn.abort()), PUSHES.recheckEvery).unref();
  return { signal, [Symbol.dispose]: () => clearInterval(timer) };
}

async function isInForce(
  authentication: Authentication,
  { credentials }: RecheckAccessOptions,
): Promise<boolean> {
  credentials.throwIfStale();
  return authentication.kind === 'authenticated' && (await credentials.find(authentication)) !== undefined;
}
