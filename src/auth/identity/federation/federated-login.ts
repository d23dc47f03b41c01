/**
 * Identifies the bearer of a JWT of another issuer. This module depends on the configured issuers and fetches
 * their keys. It must not know users and passwords.
 */
import { createHash, createHmac, randomBytes } from 'node:crypto';
import type { Principal } from '../../../access/principal.ts';
import type { Federation } from '../../../config/federation.ts';
import type { Clock } from '../../../platform/clock.ts';
import type { EgressOptions } from '../../../platform/egress/proxy-rules.ts';
import { ExpiringCache } from '../../../platform/expiring-cache.ts';
import type { Logger } from '../../../platform/log.ts';
import { SingleFlight } from '../../../platform/scheduling/single-flight.ts';
import { FEDERATED_LOGIN } from '../../limits.ts';
import { expandSubject } from './expand-subject.ts';
import { followIssuer } from './issuer-keys.ts';
import { addressedTo, verifyJwt } from './verify-jwt.ts';

/** The user name of a login by a JWT. No user can have it. */
export const FEDERATED_NAME = 'oidc';

export type FederatedVerdict =
  | (Principal & {
      readonly kind: 'authenticated';
      /** The end of the JWT, in milliseconds since the epoch. Nothing that is issued for it outlives it. */
      readonly until: number;
    })
  | { readonly kind: 'wrong' }
  | { readonly kind: 'busy' };

export type FederatedLogin = (jwt: string) => Promise<FederatedVerdict>;

export interface FederatedLoginOptions {
  readonly federations: readonly Federation[];
  readonly egress?: EgressOptions | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  /** The milliseconds for a request to an issuer; 5 s by default. */
  readonly deadline?: number;
}

const WRONG = { kind: 'wrong' } as const;

export function createFederatedLogin(options: FederatedLoginOptions): FederatedLogin {
  const { federations, egress, clock, log, deadline = FEDERATED_LOGIN.deadline } = options;
  const issuers = new Map(
    federations.map(({ issuer }) => [issuer, followIssuer({ issuer, clock, log, deadline, egress })]),
  );
  const cached = new ExpiringCache<FederatedVerdict>(FEDERATED_LOGIN.maxCached, clock);
  const judging = new SingleFlight<FederatedVerdict>();
  // The key is useless to somebody who reads it in memory, because each start makes another one.
  const key = randomBytes(32);

  const refuse = ({ name }: Federation, reason: string, level: 'debug' | 'warn' = 'debug') => {
    log[level]({ federation: name, reason }, 'a federated login was refused');
    return WRONG;
  };

  const judge = async (jwt: string): Promise<FederatedVerdict> => {
    const federation = addressedTo(jwt, federations);
    const keys = federation && issuers.get(federation.issuer);
    if (federation === undefined || keys === undefined) return WRONG;
    const verified = await verifyJwt(jwt, federation, keys, clock());
    if (verified === 'busy') return { kind: 'busy' };
    if ('refused' in verified) return refuse(federation, verified.refused);
    const expanded = expandSubject(federation.subject, verified.claims);
    if ('unfit' in expanded) return refuse(federation, expanded.unfit);
    // Only another template accepts such a job, so the log tells the operator who configured this one.
    if ('ambiguous' in expanded) return refuse(federation, expanded.ambiguous, 'warn');
    return {
      kind: 'authenticated',
      subject: { kind: 'oidc', name: `${federation.name}:${expanded.subject}` },
      credential: federationCredential(federation),
      until: verified.until,
    };
  };

  return async (jwt) => {
    if (jwt.length > FEDERATED_LOGIN.maxLength) return WRONG;
    const memory = createHmac('sha256', key).update(jwt).digest('base64');
    const known = cached.get(memory);
    if (known !== undefined) return known;
    return judging.run(memory, async () => {
      const verdict = await judge(jwt);
      if (verdict.kind === 'authenticated')
        cached.set(memory, verdict, Math.min(FEDERATED_LOGIN.cachedFor, verdict.until - clock()));
      return verdict;
    });
  };
}

/**
 * Returns the credential id that all JWTs of a federation share. It changes with the configuration, so that
 * tokens for another issuer, audience or template end with a change.
 */
export function federationCredential({ name, ...configured }: Federation): string {
  const hash = createHash('sha256').update(JSON.stringify(configured)).digest('hex');
  return `oidc_${name}_${hash.slice(0, 8)}`;
}
