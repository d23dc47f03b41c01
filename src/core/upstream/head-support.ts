import type { Clock } from '../../platform/clock.ts';
import { ExpiringCache } from '../../platform/expiring-cache.ts';
import type { Logger } from '../../platform/log.ts';
import { ok, type UpstreamRefusal, type UpstreamResult } from './upstream-result.ts';

/**
 * `honest` means that a HEAD has succeeded, or that a GET has confirmed its denial. `doubted` means that a
 * GET has contradicted a denial. `useless` means that only a GET tells.
 */
interface Habit {
  readonly head: 'honest' | 'doubted' | 'useless';
}

const MAX_HABITS = 20_000;
/**
 * The milliseconds for which a habit is cached. The answers of a registry to HEAD change only with its
 * version or configuration.
 */
const CACHED_FOR = 60 * 60_000;

export interface HeadAsking<T> {
  /** The group that shares a habit, such as the manifests of one namespace. */
  readonly key: string;
  /** True if a registry that answers HEAD well for some of these can answer it wrongly for others. */
  readonly isFickle: boolean;
  /** `isFinal` tells whether this refusal is the answer. If it is not, nobody may cache or report it. */
  readonly head: (isFinal: (answer: UpstreamRefusal) => boolean) => Promise<UpstreamResult<T | undefined>>;
  readonly get: () => Promise<UpstreamResult<T>>;
}

/**
 * Learns how registries answer HEAD. Several refuse it, or say less than to a GET, for content that they
 * have: Harbor answers 404 for a layer that its proxy has not cached yet, Artifactory `application/json` for
 * a manifest. So one GET checks a denial before it counts, and its result is cached. Registries that answer
 * HEAD well need no further request.
 */
export class HeadSupport {
  readonly #habits: ExpiringCache<Habit>;
  readonly #log: Logger;

  constructor(clock: Clock, log: Logger) {
    this.#habits = new ExpiringCache(MAX_HABITS, clock);
    this.#log = log;
  }

  /** Asks by HEAD, and then by GET if HEAD denies or says too little. `undefined` means too little. */
  async ask<T>({ key, isFickle, head, get }: HeadAsking<T>): Promise<UpstreamResult<T>> {
    const habit = this.#habits.get(key)?.head;
    if (habit === 'useless') return get();
    const isFinal = (answer: UpstreamRefusal) =>
      answer.kind === 'denied' ? habit === 'honest' || isCertain(answer) : !isOfHead(answer);
    const said = await head(isFinal);
    if (said.kind === 'ok' && said.value !== undefined && !isFickle) this.#set(key, 'honest');
    if (said.kind !== 'ok') {
      if (isFinal(said)) return said;
    } else if (said.value !== undefined) return ok(said.value);
    const got = await get();
    if (got.kind === 'ok')
      this.#set(key, said.kind === 'denied' && habit !== 'doubted' ? 'doubted' : 'useless');
    else if (got.kind === 'denied' && said.kind === 'denied' && !isFickle) this.#set(key, 'honest');
    return got.kind === 'unavailable' && said.kind === 'denied' ? said : got;
  }

  #set(key: string, head: Habit['head']): void {
    this.#habits.set(key, { head }, CACHED_FOR);
    if (head === 'useless')
      this.#log.info({ of: key }, 'the upstream answers HEAD wrongly or not at all, so it is asked by GET');
  }
}

/**
 * True if the answer is certain, because no registry gives it to HEAD alone: that a credential is missing, or
 * that the type is another one.
 */
function isCertain(answer: UpstreamRefusal & { kind: 'denied' }): boolean {
  return answer.reason === 'unsupported' || (answer.reason === 'unauthorized' && !('isForbidden' in answer));
}

/**
 * True if the registry has answered the HEAD neither with a success nor with a denial, so that a GET may have
 * a better answer.
 */
function isOfHead({ failure: { status } }: UpstreamRefusal & { kind: 'unavailable' }): boolean {
  return status !== undefined && status !== 429 && (status < 500 || status === 501);
}
