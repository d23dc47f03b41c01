import { LRUCache } from 'lru-cache';
import type { Clock } from '../../platform/clock.ts';
import type { Repository } from '../../registry/repository.ts';
import { type Answer, cannot, no } from './answer.ts';
import type { Identity } from './upstream.ts';

/**
 * Remembers for a little while that an upstream said no, so that asking again and again for what is not there costs it
 * nothing: 404 for 30 s, 401 and 403 for 60 s and for the whole repository, 429 until `Retry-After` and for requests of
 * the same kind, because Docker Hub limits GETs of manifests long before it limits anything else.
 */
export interface Refusals {
  find(repository: Repository, method: string, resource: string, as: Identity): Answer<never> | undefined;
  remember(
    repository: Repository,
    method: string,
    resource: string,
    as: Identity,
    answer: Answer<never>,
  ): void;
}

const NOT_FOUND_FOR = 30_000;
const UNAUTHORIZED_FOR = 60_000;
/** A limit without `Retry-After`: Docker Hub's abuse limit names as much. */
const LIMITED_FOR = 60;
/** A longer `Retry-After` is asked about again: a window can end early, and a paid account has none. */
const LIMITED_AT_MOST = 300;
const MAX_ENTRIES = 50_000;

export function createRefusals(clock: Clock): Refusals {
  const until = new LRUCache<string, { readonly until: number; readonly answer: Answer<never> }>({
    max: MAX_ENTRIES,
  });

  const recall = (key: string): Answer<never> | undefined => {
    const entry = until.get(key);
    if (entry === undefined) return undefined;
    const left = entry.until - clock();
    if (left > 0) return remaining(entry.answer, left);
    until.delete(key);
    return undefined;
  };

  return {
    find(repository, method, resource, as) {
      return (
        recall(limitKey(repository, method, resource, as)) ??
        recall(repositoryKey(repository, as)) ??
        recall(resourceKey(repository, resource, as))
      );
    },
    remember(repository, method, resource, as, answer) {
      const now = clock();
      if (answer.kind === 'no' && answer.reason === 'not-found') {
        until.set(resourceKey(repository, resource, as), { until: now + NOT_FOUND_FOR, answer });
      } else if (answer.kind === 'no') {
        until.set(repositoryKey(repository, as), {
          until: now + UNAUTHORIZED_FOR,
          answer: no('unauthorized'),
        });
      } else if (answer.kind === 'cannot' && answer.trouble.cause === 'limited') {
        const seconds = Math.min(answer.trouble.retryAfter ?? LIMITED_FOR, LIMITED_AT_MOST);
        until.set(limitKey(repository, method, resource, as), { until: now + seconds * 1000, answer });
      }
    },
  };
}

/** The same refusal, with what is left of its time as `Retry-After`. */
function remaining(answer: Answer<never>, milliseconds: number): Answer<never> {
  if (answer.kind !== 'cannot') return answer;
  return cannot(answer.trouble.cause, answer.trouble.detail, Math.ceil(milliseconds / 1000));
}

function limitKey({ upstream }: Repository, method: string, resource: string, as: Identity): string {
  return `${as} ${upstream} ${method} ${resource.split('/', 1)[0]}`;
}

function repositoryKey({ name }: Repository, as: Identity): string {
  return `${as} ${name}`;
}

function resourceKey({ name }: Repository, resource: string, as: Identity): string {
  return `${as} ${name} ${resource}`;
}
