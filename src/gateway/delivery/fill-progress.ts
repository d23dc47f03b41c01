import type { Lines } from '../../platform/ipc/json-lines.ts';
import { messageOf } from '../../platform/reason.ts';
import { FILL_PROGRESS_LINE, type FillProgressLine, type UpstreamCost } from '../../protocol/core-api.ts';
import { FillInterrupted, HELD_BACK } from './blob-reader.ts';

/** The progress of a fill, for all readers in this gateway. */
export class FillProgress {
  readonly #size: number | undefined;
  readonly #announcements: Lines;
  #written = 0;
  #available = 0;
  #ended = false;
  /**
   * The read of the next announcement, for all that wait for it. If it failed, it is kept for all that come
   * later.
   */
  #advancing: Promise<void> | undefined;
  #hasBroken = false;
  #cost: UpstreamCost | undefined;

  constructor(size: number | undefined, announcements: Lines) {
    this.#size = size;
    this.#announcements = announcements;
  }

  async available(position: number): Promise<number> {
    while (this.#available <= position && !this.#ended) await this.#advance();
    return this.#available;
  }

  /** True if the chunk of that size which contains `position` is completely written. */
  hasChunk(position: number, size: number): boolean {
    return this.#ended || position - (position % size) + size <= this.#written;
  }

  /** True if the rest of the fill will never come. */
  get hasBroken(): boolean {
    return this.#hasBroken;
  }

  /** The cost that the last announcement reported; undefined if it has not come, or reported none. */
  get cost(): UpstreamCost | undefined {
    return this.#cost;
  }

  close(): void {
    this.#announcements.close();
  }

  #advance(): Promise<void> {
    this.#advancing ??= this.#takeNext().then(
      () => {
        this.#advancing = undefined;
      },
      (error) => {
        this.#hasBroken = true;
        throw error;
      },
    );
    return this.#advancing;
  }

  async #takeNext(): Promise<void> {
    const progress = await this.#next();
    if (progress.kind !== 'filling') this.#cost = progress.cost;
    switch (progress.kind) {
      case 'filling':
        this.#written = progress.written;
        this.#available = this.#unverified(progress.written);
        return;
      case 'verified':
        this.#available = progress.size;
        this.#ended = true;
        return;
      case 'interrupted':
        throw new FillInterrupted(
          'the core interrupted the download: it is ending, or cannot write its cache',
        );
      case 'failed':
        throw new Error('the fill failed');
    }
  }

  /**
   * Returns the bytes that may be sent. Every byte may belong to the last ones if the size is not announced.
   */
  #unverified(written: number): number {
    const last = (this.#size ?? written) - HELD_BACK;
    return Math.max(0, Math.min(written, last));
  }

  async #next(): Promise<FillProgressLine> {
    let line: unknown;
    try {
      line = await this.#announcements.next();
    } catch (error) {
      throw new FillInterrupted(messageOf(error));
    }
    if (line === undefined) throw new FillInterrupted('the announcements end');
    return FILL_PROGRESS_LINE.parse(line);
  }
}
