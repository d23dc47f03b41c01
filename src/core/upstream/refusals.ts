import type { Clock } from '../../platform/clock.ts';
import { ExpiringCache } from '../../platform/expiring-cache.ts';
import type { Repository } from '../../registry/repository.ts';
import { REFUSED_FOR } from '../limits.ts';
import { cannot, no, type Refused } from './answer.ts';
import type { Identity } from './upstream.ts';

/**
 * Remembers for a little while that an upstream said no, so that asking again and again for what is not there costs it
 * nothing: 404, and what is not mirrored, for 30 s; 401 and 403 for 60 s and for the whole repository; 429 until `Retry-After` and for requests of
 * the same kind, because Docker Hub limits GETs of manifests long before it limits anything else; and for 60 s that it
 * refuses the configured credential, because the Hub locks an account out after too many failed logins.
 */
export interface Refusals {
  find(question: Question): Refused | undefined;
  remember(question: Question, answer: Refused): void;
}

export interface Question {
  readonly repository: Repository;
  readonly method: 'GET' | 'HEAD';
  /** Below the repository: `manifests/latest`. */
  readonly resource: string;
  readonly as: Identity;
}

const MAX_ENTRIES = 50_000;

export function createRefusals(clock: Clock): Refusals {
  const refusals = new ExpiringCache<Refused>(MAX_ENTRIES, clock);

  const recall = (key: string): Refused | undefined => {
    const answer = refusals.get(key);
    if (answer?.kind !== 'cannot') return answer;
    const { cause, detail } = answer.trouble;
    return cannot(cause, detail, Math.ceil(refusals.remaining(key) / 1000));
  };

  return {
    find(question) {
      const { upstream, repository, kind, resource } = keysOf(question);
      return recall(upstream) ?? recall(kind) ?? recall(repository) ?? recall(resource);
    },
    remember(question, answer) {
      const { upstream, repository, kind, resource } = keysOf(question);
      if (answer.kind === 'no') {
        if (answer.reason === 'unauthorized')
          refusals.set(repository, no('unauthorized'), REFUSED_FOR.unauthorized);
        else refusals.set(resource, answer, REFUSED_FOR.notFound);
      } else if (answer.trouble.cause === 'limited') {
        const { retryAfter } = answer.trouble;
        refusals.set(
          kind,
          answer,
          retryAfter === undefined
            ? REFUSED_FOR.limited
            : Math.min(retryAfter * 1000, REFUSED_FOR.limitedAtMost),
        );
      } else if (answer.trouble.cause === 'credential') {
        refusals.set(upstream, answer, REFUSED_FOR.credential);
      }
    },
  };
}

/** By what a refusal holds, from the whole upstream down to the one resource; never for another identity. */
function keysOf({ repository: { upstream, name }, method, resource, as }: Question) {
  return {
    upstream: `${as} ${upstream}`,
    kind: `${as} ${upstream} ${method} ${resource.split('/', 1)[0]}`,
    repository: `${as} ${name}`,
    resource: `${as} ${name} ${resource}`,
  };
}
