import type { Clock } from '../../platform/clock.ts';
import { ExpiringCache } from '../../platform/expiring-cache.ts';
import type { Repository, UpstreamHost } from '../../registry/repository.ts';
import { REFUSED_FOR } from '../limits.ts';
import type { UpstreamIdentity } from './upstream.ts';
import { denied, type UnavailablePull, type UpstreamRefusal } from './upstream-result.ts';

/**
 * Caches refusals of an upstream for a short time, so that repeated requests for missing content cost
 * nothing: 404 and unmirrored types for 30 s; 401 and 403 for 60 s and for the whole repository; 429 until
 * `Retry-After` and for requests of the same kind, because Docker Hub limits GETs of manifests long before
 * anything else; and a refusal of the configured credential for 60 s, because the Hub locks an account out
 * after too many failed logins.
 */
export interface Refusals {
  find(question: RefusalKey): UpstreamRefusal | undefined;
  record(question: RefusalKey, answer: UpstreamRefusal): void;
  /** Returns the upstream's refusal of further pulls, while it counts. */
  limited(caller: {
    readonly upstream: UpstreamHost;
    readonly as: UpstreamIdentity;
  }): UnavailablePull | undefined;
  /** True while the upstream's refusal of the credential counts. */
  isCredentialRefused(upstream: UpstreamHost): boolean;
}

export interface RefusalKey {
  readonly repository: Repository;
  readonly method: 'GET' | 'HEAD';
  /** The path below the repository, such as `manifests/latest`. */
  readonly resource: string;
  readonly as: UpstreamIdentity;
}

const MAX_ENTRIES = 50_000;

export function createRefusals(clock: Clock): Refusals {
  const refusals = new ExpiringCache<UpstreamRefusal>(MAX_ENTRIES, clock);

  const recall = (key: string): UpstreamRefusal | undefined => {
    const answer = refusals.get(key);
    if (answer?.kind !== 'unavailable') return answer;
    const retryAfter = Math.ceil(refusals.remaining(key) / 1000);
    return { ...answer, failure: { ...answer.failure, retryAfter, known: true } };
  };

  return {
    find(question) {
      const { upstream, repository, kind, resource } = keysOf(question);
      return recall(upstream) ?? recall(kind) ?? recall(repository) ?? recall(resource);
    },
    record(question, answer) {
      const { upstream, repository, kind, resource } = keysOf(question);
      if (answer.kind === 'denied') {
        if (answer.reason === 'unauthorized')
          refusals.set(repository, denied('unauthorized'), REFUSED_FOR.unauthorized);
        else refusals.set(resource, answer, REFUSED_FOR.notFound);
      } else if (answer.failure.cause === 'limited') {
        const { retryAfter } = answer.failure;
        refusals.set(
          kind,
          answer,
          retryAfter === undefined
            ? REFUSED_FOR.limited
            : Math.min(retryAfter * 1000, REFUSED_FOR.limitedAtMost),
        );
      } else if (answer.failure.cause === 'credential') {
        refusals.set(upstream, answer, REFUSED_FOR.credential);
      }
    },
    limited({ upstream, as }) {
      const answer = recall(kindKey(as, upstream, 'GET', 'manifests'));
      return answer?.kind === 'unavailable' ? answer : undefined;
    },
    isCredentialRefused(upstream) {
      return refusals.get(upstreamKey('account', upstream)) !== undefined;
    },
  };
}

/**
 * Returns the keys under which a refusal is cached, from the whole upstream to the single resource. A key
 * belongs to one identity.
 */
function keysOf({ repository: { upstream, name }, method, resource, as }: RefusalKey) {
  return {
    upstream: upstreamKey(as, upstream),
    kind: kindKey(as, upstream, method, resource.split('/', 1)[0]),
    repository: `${as} ${name}`,
    resource: `${as} ${name} ${resource}`,
  };
}

function upstreamKey(as: UpstreamIdentity, upstream: UpstreamHost): string {
  return `${as} ${upstream}`;
}

function kindKey(
  as: UpstreamIdentity,
  upstream: UpstreamHost,
  method: RefusalKey['method'],
  kind: string | undefined,
): string {
  return `${as} ${upstream} ${method} ${kind}`;
}
