import { FILL_PLACES } from '../limits.ts';

/** One of the downloads that may run from an upstream at a time. Disposing of it twice is harmless. */
export interface FillPlace extends Disposable {
  readonly kind: 'place';
}

export type TakenPlace = FillPlace | 'full' | 'late';

export interface TakePlaceOptions {
  /** The subject that the place is counted for. */
  readonly subjectKey: string;
  /** Aborted when the client has gone, or has waited long enough. */
  readonly signal: AbortSignal;
}

export interface FillPlacesOptions {
  /** Called from time to time while requests wait. It may end a download that nobody reads. */
  readonly onWaiting: () => void;
  readonly bounds?: typeof FILL_PLACES;
}

type GrantPlace = (taken: TakenPlace) => void;

/**
 * Divides the downloads that may run from one upstream at a time between subjects. No subject has all of
 * them. A place that becomes free goes to the waiting subject that has the fewest, so that many requests of
 * one subject do not delay those of another.
 */
export class FillPlaces {
  readonly #options: FillPlacesOptions;
  readonly #bounds: typeof FILL_PLACES;
  readonly #taken = new Map<string, number>();
  /** The waiting requests of each subject. The subjects are in the order in which they were last served. */
  readonly #waiting = new Map<string, Set<GrantPlace>>();
  #free: number;
  #length = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: FillPlacesOptions) {
    this.#options = options;
    this.#bounds = options.bounds ?? FILL_PLACES;
    this.#free = this.#bounds.places;
  }

  get isWaitedFor(): boolean {
    return this.#length > 0;
  }

  /**
   * Resolves to `full` if too many requests wait already, and to `late` if no place became free in time or
   * the client has gone.
   */
  async take({ subjectKey, signal }: TakePlaceOptions): Promise<TakenPlace> {
    if (signal.aborted) return 'late';
    if (this.#canTake(subjectKey)) return this.#place(subjectKey);
    const queue = this.#waiting.get(subjectKey) ?? new Set();
    if (queue.size >= this.#bounds.queuedPerSubject || this.#length >= this.#bounds.queued) return 'full';
    const { promise, resolve } = Promise.withResolvers<TakenPlace>();
    this.#waiting.set(subjectKey, queue.add(resolve));
    this.#length++;
    this.#watch();
    const giveUp = () => {
      if (this.#remove(subjectKey, resolve)) resolve('late');
    };
    signal.addEventListener('abort', giveUp);
    try {
      return await promise;
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
  }

  #canTake(subjectKey: string): boolean {
    return this.#free > 0 && (this.#taken.get(subjectKey) ?? 0) < this.#bounds.placesPerSubject;
  }

  #place(subjectKey: string): FillPlace {
    this.#free--;
    this.#taken.set(subjectKey, (this.#taken.get(subjectKey) ?? 0) + 1);
    let isTaken = true;
    return {
      kind: 'place',
      [Symbol.dispose]: () => {
        if (!isTaken) return;
        isTaken = false;
        this.#giveBack(subjectKey);
      },
    };
  }

  #giveBack(subjectKey: string): void {
    this.#free++;
    const left = (this.#taken.get(subjectKey) ?? 1) - 1;
    if (left === 0) this.#taken.delete(subjectKey);
    else this.#taken.set(subjectKey, left);
    const next = this.#next();
    if (next === undefined) return;
    const [grant] = this.#waiting.get(next) ?? [];
    if (grant === undefined || !this.#remove(next, grant)) return;
    // The subject that was served goes to the end of the order.
    const rest = this.#waiting.get(next);
    if (rest !== undefined && this.#waiting.delete(next)) this.#waiting.set(next, rest);
    grant(this.#place(next));
  }

  #next(): string | undefined {
    let best: string | undefined;
    const taken = (subjectKey: string) => this.#taken.get(subjectKey) ?? 0;
    for (const subjectKey of this.#waiting.keys())
      if (this.#canTake(subjectKey) && (best === undefined || taken(subjectKey) < taken(best)))
        best = subjectKey;
    return best;
  }

  #remove(subjectKey: string, grant: GrantPlace): boolean {
    const queue = this.#waiting.get(subjectKey);
    if (queue?.delete(grant) !== true) return false;
    if (queue.size === 0) this.#waiting.delete(subjectKey);
    this.#length--;
    if (this.#length === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
    return true;
  }

  /** A download that somebody reads now may have no reader a moment later. */
  #watch(): void {
    this.#timer ??= setInterval(this.#options.onWaiting, this.#bounds.watchEvery).unref();
    queueMicrotask(this.#options.onWaiting);
  }
}
