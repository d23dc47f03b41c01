import type { Lines } from '../../platform/json-lines.ts';
import { PROGRESS, type Progress, type UpstreamCost } from '../../registry/core-api.ts';
import { FillInterrupted, HELD_BACK } from './blob-source.ts';

/** How far a fill has come, for all who read it here. */
export class FillProgress {
  readonly #size: number | undefined;
  readonly #announcements: Lines;
  readonly #onCost: (cost: UpstreamCost) => void;
  #written = 0;
  #available = 0;
  #ended = false;
  /** The reading of the next announcement, for all who wait for it; or of the one with which it broke off, for all to come. */
  #advancing: Promise<void> | undefined;
  #hasBroken = false;

  constructor(size: number | undefined, announcements: Lines, onCost: (cost: UpstreamCost) => void) {
    this.#size = size;
    this.#announcements = announcements;
    this.#onCost = onCost;
  }

  async available(position: number): Promise<number> {
    while (this.#available <= position && !this.#ended) await this.#advance();
    return this.#available;
  }

  /** Is the chunk of that size, in which `position` is, written to its end? */
  hasChunk(position: number, size: number): boolean {
    return this.#ended || position - (position % size) + size <= this.#written;
  }

  /** Will the rest of it never come? */
  get hasBroken(): boolean {
    return this.#hasBroken;
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
    if (progress.kind !== 'filling' && progress.cost !== undefined) this.#onCost(progress.cost);
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

  /** Where the size is not announced, any byte may be of the last ones. */
  #unverified(written: number): number {
    const last = (this.#size ?? written) - HELD_BACK;
    return Math.max(0, Math.min(written, last));
  }

  async #next(): Promise<Progress> {
    let line: unknown;
    try {
      line = await this.#announcements.next();
    } catch (error) {
      throw new FillInterrupted((error as Error).message);
    }
    if (line === undefined) throw new FillInterrupted('the announcements end');
    return PROGRESS.parse(line);
  }
}
