import { FILL_PLACES } from '../limits.ts';

/** One of the downloads that may run from an upstream at a time. Disposing of it twice is harmless. */
export type FillPlace = Disposable;

export type TakenPlace = FillPlace | 'full' | 'late';

export interface TakePlaceOptions {
  /** The caller whose share counts the place. */
  readonly caller: string;
  /** Aborted when the client has gone, or has waited long enough. */
  readonly signal: AbortSignal;
}

export interface FillPlacesOptions {
  /** Called from time to time while callers wait. It may end a download that nobody reads. */
  readonly onWaiting: () => void;
  readonly bounds?: typeof FILL_PLACES;
}

type GrantPlace = (taken: TakenPlace) => void;

/**
 * Divides the downloads that may run from one upstream at a time between callers. Nobody has all of them. A
 * place that becomes free goes to the waiting caller that has the fewest, so that many requests of one caller
 * do not delay those of another.
 */
export class FillPlaces {
  readonly #options: FillPlacesOptions;
  readonly #bounds: typeof FILL_PLACES;
  readonly #taken = new Map<string, number>();
  /** The waiting requests of each caller. The callers are in the order in which they were last served. */
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
  async take({ caller, signal }: TakePlaceOptions): Promise<TakenPlace> {
    if (signal.aborted) return 'late';
    if (this.#canTake(caller)) return this.#place(caller);
    const queue = this.#waiting.get(caller) ?? new Set();
    if (queue.size >= this.#bounds.queuedPerCaller || this.#length >= this.#bounds.queued) return 'full';
    const { promise, resolve } = Promise.withResolvers<TakenPlace>();
    this.#waiting.set(caller, queue.add(resolve));
    this.#length++;
    this.#watch();
    const giveUp = () => {
      if (this.#remove(caller, resolve)) resolve('late');
    };
    signal.addEventListener('abort', giveUp);
    try {
      return await promise;
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
  }

  #canTake(caller: string): boolean {
    return this.#free > 0 && (this.#taken.get(caller) ?? 0) < this.#bounds.placesPerCaller;
  }

  #place(caller: string): FillPlace {
    this.#free--;
    this.#taken.set(caller, (this.#taken.get(caller) ?? 0) + 1);
    let isTaken = true;
    return {
      [Symbol.dispose]: () => {
        if (!isTaken) return;
        isTaken = false;
        this.#giveBack(caller);
      },
    };
  }

  #giveBack(caller: string): void {
    this.#free++;
    const left = (this.#taken.get(caller) ?? 1) - 1;
    if (left === 0) this.#taken.delete(caller);
    else this.#taken.set(caller, left);
    const next = this.#next();
    if (next === undefined) return;
    const [grant] = this.#waiting.get(next) ?? [];
    if (grant === undefined || !this.#remove(next, grant)) return;
    // The caller that was served goes to the end of the order.
    const rest = this.#waiting.get(next);
    if (rest !== undefined && this.#waiting.delete(next)) this.#waiting.set(next, rest);
    grant(this.#place(next));
  }

  #next(): string | undefined {
    let best: string | undefined;
    const taken = (caller: string) => this.#taken.get(caller) ?? 0;
    for (const caller of this.#waiting.keys())
      if (this.#canTake(caller) && (best === undefined || taken(caller) < taken(best))) best = caller;
    return best;
  }

  #remove(caller: string, grant: GrantPlace): boolean {
    const queue = this.#waiting.get(caller);
    if (queue?.delete(grant) !== true) return false;
    if (queue.size === 0) this.#waiting.delete(caller);
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
