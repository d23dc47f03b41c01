import type { Clock } from '../../platform/clock.ts';
import type { UpstreamHost } from '../../registry/repository.ts';
import { BANDWIDTH_TURNS } from '../limits.ts';
import type { UpstreamOptions } from '../upstream/upstream.ts';

export interface BandwidthOptions {
  readonly bytesPerSecond: number;
  readonly clock: Clock;
}

/** The part of a turn that a download has not used yet, in bytes. */
interface Turn {
  left: number;
}

type GiveTurn = () => void;

/**
 * Limits what all downloads from one upstream take together. The bytes have arrived already when they are
 * counted, so a download that waits for its turn does not read on, and its connection slows the upstream
 * down. The downloads take turns of equal lengths, whatever the size of their pieces. There is one timer,
 * however many wait.
 */
export class Bandwidth {
  /** The rate in bytes per millisecond. */
  readonly #rate: number;
  readonly #clock: Clock;
  readonly #turn: number;
  /** The waiting downloads, in the order of their turns. */
  readonly #waiting = new Set<GiveTurn>();
  /** The bytes that may be taken now. Negative if the last turn took more than there were. */
  #left: number;
  #countedAt: number;
  #timer: NodeJS.Timeout | undefined;

  constructor({ bytesPerSecond, clock }: BandwidthOptions) {
    this.#rate = bytesPerSecond / 1000;
    this.#clock = clock;
    this.#left = this.#most;
    this.#countedAt = clock();
    const perTick = Math.floor(this.#rate * BANDWIDTH_TURNS.tick);
    this.#turn = Math.max(BANDWIDTH_TURNS.leastTurn, Math.min(BANDWIDTH_TURNS.mostTurn, perTick));
  }

  /**
   * Passes the bytes of one download on, no faster than its share.
   * @throws the reason of `signal` when it is aborted
   */
  async *pace(pieces: AsyncIterable<Buffer>, signal: AbortSignal): AsyncGenerator<Buffer, void> {
    const turn = { left: 0 };
    try {
      for await (const piece of pieces) {
        for (let at = 0; at < piece.length; ) {
          await this.#waitForTurn(turn, signal);
          const bytes = piece.subarray(at, at + turn.left);
          at += bytes.length;
          turn.left -= bytes.length;
          yield bytes;
        }
      }
    } finally {
      this.#left += turn.left;
    }
  }

  /** Waits for the turns that a small download needs which is not read piece by piece. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    const turn = { left: 0 };
    for (let left = bytes; left > 0; ) {
      await this.#waitForTurn(turn, signal);
      const taken = Math.min(left, turn.left);
      left -= taken;
      turn.left -= taken;
    }
    this.#left += turn.left;
  }

  async #waitForTurn(turn: Turn, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (turn.left > 0) return;
    this.#refill();
    if (this.#waiting.size > 0 || this.#left <= 0) await this.#wait(signal);
    else this.#left -= this.#turn;
    turn.left = this.#turn;
  }

  async #wait(signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const abort = () => {
      this.#waiting.delete(resolve);
      reject(signal.reason);
    };
    this.#waiting.add(resolve);
    signal.addEventListener('abort', abort, { once: true });
    this.#wake();
    try {
      await promise;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  /** The bytes that unused time can be made up for. */
  get #most(): number {
    return this.#rate * BANDWIDTH_TURNS.burst;
  }

  /** A clock that is set back or far ahead changes the pace for a moment only. */
  #refill(): void {
    const now = this.#clock();
    const passed = Math.max(0, now - this.#countedAt);
    this.#countedAt = now;
    this.#left = Math.min(this.#most, this.#left + passed * this.#rate);
  }

  #wake(): void {
    if (this.#timer !== undefined || this.#waiting.size === 0) return;
    const missing = Math.ceil(-this.#left / this.#rate);
    this.#timer = setTimeout(() => this.#serve(), Math.max(BANDWIDTH_TURNS.tick, missing)).unref();
  }

  #serve(): void {
    this.#timer = undefined;
    this.#refill();
    for (const give of this.#waiting) {
      if (this.#left <= 0) break;
      this.#waiting.delete(give);
      this.#left -= this.#turn;
      give();
    }
    this.#wake();
  }
}

/** Returns the limits of those upstreams that have one. */
export function limitBandwidths(
  upstreams: readonly UpstreamOptions[],
  clock: Clock,
): ReadonlyMap<UpstreamHost, Bandwidth> {
  const limited = upstreams.flatMap(({ host, bandwidth }) =>
    bandwidth === undefined ? [] : [[host, new Bandwidth({ bytesPerSecond: bandwidth, clock })] as const],
  );
  return new Map(limited);
}
