import type { Clock } from '../../platform/clock.ts';
import { ExpiringCache } from '../../platform/expiring-cache.ts';
import type { Logger } from '../../platform/log.ts';
import type { Answer, Refused } from './answer.ts';

/**
 * `honest`: HEAD has said yes, or GET has confirmed its "no". `doubted`: GET has contradicted a "no". `useless`: only GET tells.
 */
interface Habit {
  readonly head: 'honest' | 'doubted' | 'useless';
}

const MAX_HABITS = 20_000;
/** Milliseconds. A registry changes what it answers to HEAD only with another version or configuration. */
const REMEMBERED_FOR = 60 * 60_000;

export interface HeadAsking<T> {
  /** Whose habits these are, such as the manifests of one namespace. */
  readonly key: string;
  /** Can a registry that answers HEAD well for some of these answer it wrongly for others? */
  readonly isFickle: boolean;
  /** `isFinal`: is this refusal the answer? If not, nobody may remember or report it. */
  readonly head: (isFinal: (answer: Refused) => boolean) => Promise<Answer<T | undefined>>;
  readonly get: () => Promise<Answer<T>>;
}

/**
 * How registries answer HEAD. Several refuse it, or say less than to GET, for content that they have: Harbor says 404 of a layer
 * that its proxy has not cached yet, Artifactory `application/json` of a manifest. So a "no" is checked by one GET before it
 * counts, and what comes of it is remembered. Registries that answer HEAD well cost no further request.
 */
export class HeadHabits {
  readonly #habits: ExpiringCache<Habit>;
  readonly #log: Logger;

  constructor(clock: Clock, log: Logger) {
    this.#habits = new ExpiringCache(MAX_HABITS, clock);
    this.#log = log;
  }

  /** Asks by HEAD, and by GET where HEAD says no or too little, which `undefined` stands for. */
  async ask<T>({ key, isFickle, head, get }: HeadAsking<T>): Promise<Answer<T>> {
    const habit = this.#habits.get(key)?.head;
    if (habit === 'useless') return get();
    const isFinal = (answer: Refused) =>
      answer.kind === 'no' ? habit === 'honest' || isCertain(answer) : !isOfHead(answer);
    const said = await head(isFinal);
    if (said.kind === 'yes' && said.value !== undefined && !isFickle) this.#set(key, 'honest');
    if (said.kind === 'yes' ? said.value !== undefined : isFinal(said)) return said as Answer<T>;
    const got = await get();
    if (got.kind === 'yes') this.#set(key, said.kind === 'no' && habit !== 'doubted' ? 'doubted' : 'useless');
    else if (got.kind === 'no' && said.kind === 'no' && !isFickle) this.#set(key, 'honest');
    return got.kind === 'cannot' && said.kind === 'no' ? said : got;
  }

  #set(key: string, head: Habit['head']): void {
    this.#habits.set(key, { head }, REMEMBERED_FOR);
    if (head === 'useless')
      this.#log.info({ of: key }, 'the upstream answers HEAD wrongly or not at all, so it is asked by GET');
  }
}

/** True if no registry says so to HEAD alone: that a credential is missing, or that the type is another. */
function isCertain(answer: Refused & { kind: 'no' }): boolean {
  return answer.reason === 'unsupported' || (answer.reason === 'unauthorized' && !('isForbidden' in answer));
}

/** True if the registry has answered the HEAD, but neither yes nor no, so that a GET may have a better answer. */
function isOfHead({ trouble: { status } }: Refused & { kind: 'cannot' }): boolean {
  return status !== undefined && status !== 429 && (status < 500 || status === 501);
}
