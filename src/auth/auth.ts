/**
 * Auth: who are you, and here is proof. It alone holds password hashes and the signing key, and hashes where that can
 * hold up no pull. It knows nothing of caches and upstreams beyond their names.
 */
import { followPolicy } from '../access/live-policy.ts';
import { type Clock, systemClock } from '../platform/clock.ts';
import type { Logger } from '../platform/log.ts';
import { serveOnSocket } from '../platform/unix-socket.ts';
import type { UpstreamNames } from '../registry/repository.ts';
import { authApplication } from './endpoints.ts';
import { createAuthenticate } from './identity/authenticate.ts';
import { followUsers } from './identity/live-users.ts';
import { readSigningKey } from './token/signing-key.ts';

export interface AuthOptions {
  /** Where auth's unix socket is to be. */
  readonly socket: string;
  readonly usersFile: string;
  readonly policyFile: string;
  readonly keyFile: string;
  /** What clients type: it issues the tokens, and they are for it. */
  readonly url: URL;
  /** Milliseconds. */
  readonly tokenLifetime: number;
  readonly names: UpstreamNames;
  readonly log: Logger;
  readonly clock?: Clock;
}

export async function startAuth(options: AuthOptions): Promise<AsyncDisposable> {
  const { log, names, url, tokenLifetime: lifetime, clock = systemClock } = options;
  await using stack = new AsyncDisposableStack();
  const key = await readSigningKey(options.keyFile);
  const users = stack.use(await followUsers(options.usersFile, log));
  const policy = stack.use(await followPolicy(options.policyFile, log));
  const authenticate = await createAuthenticate(() => users.current, clock);
  const app = authApplication({
    authenticate,
    users,
    policy,
    names,
    issuer: { key, issuer: url.origin, audience: url.host, lifetime, clock },
    log,
  });
  stack.use(await serveOnSocket(options.socket, app.callback()));
  return stack.move();
}
