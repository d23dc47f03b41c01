import { createLocalJWKSet, type JWTVerifyGetKey } from 'jose';
import { z } from 'zod';
import type { Clock } from '../../../platform/clock.ts';
import { ProxyError } from '../../../platform/egress/open-tunnel.ts';
import type { EgressOptions } from '../../../platform/egress/proxy-rules.ts';
import type { Logger } from '../../../platform/log.ts';
import { SingleFlight } from '../../../platform/scheduling/single-flight.ts';
import { ISSUER_KEYS } from '../../limits.ts';
import { IssuerTrouble, readKeys } from './read-keys.ts';

/** The last published keys of one issuer. */
export interface IssuerKeys {
  /** Asks the issuer if the keys are old. */
  current(): Promise<AskedKeys>;
  /** Asks the issuer unless it was asked a moment ago. It is for a key that is not among the current ones. */
  renewed(): Promise<AskedKeys>;
}

/** `busy` means that too many requests wait for the issuer's answer already. */
export type AskedKeys = JWTVerifyGetKey | 'none' | 'busy';

export interface IssuerKeysOptions {
  readonly issuer: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** The milliseconds for one request with everything that belongs to it. */
  readonly deadline: number;
  readonly egress?: EgressOptions | undefined;
}

export function followIssuer({ issuer, clock, log, deadline, egress }: IssuerKeysOptions): IssuerKeys {
  const asking = new SingleFlight<void>();
  let known: { readonly keys: JWTVerifyGetKey; readonly at: number } | undefined;
  let askedAt = Number.NEGATIVE_INFINITY;
  let waiting = 0;
  // The clock may be set back.
  const age = (at: number) => Math.abs(clock() - at);

  const askOnce = async () => {
    try {
      known = { keys: createLocalJWKSet(await readKeys(issuer, deadline, egress)), at: clock() };
    } catch (error) {
      log.warn({ issuer, reason: reasonOf(error) }, 'the keys of a federation’s issuer cannot be had');
    }
    askedAt = clock();
  };
  const inHand = (): AskedKeys =>
    known !== undefined && age(known.at) <= ISSUER_KEYS.usedFor ? known.keys : 'none';
  const ask = async (): Promise<AskedKeys> => {
    if (age(askedAt) < (known === undefined ? ISSUER_KEYS.pauseWithoutKeys : ISSUER_KEYS.pause))
      return inHand();
    if (waiting >= ISSUER_KEYS.maxWaiting) return 'busy';
    waiting++;
    await asking.run('keys', askOnce).finally(() => waiting--);
    return inHand();
  };
  return {
    async current() {
      if (known !== undefined && age(known.at) < ISSUER_KEYS.freshFor) return known.keys;
      const asked = await ask();
      return asked === 'busy' && known !== undefined ? inHand() : asked;
    },
    renewed: ask,
  };
}

function reasonOf(error: unknown): string {
  if (error instanceof IssuerTrouble || error instanceof ProxyError) return error.message;
  return error instanceof z.ZodError ? 'what it says is not as it should be' : 'it does not answer';
}
