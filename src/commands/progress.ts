/**
 * Draws the progress of a command on a terminal: lines at the bottom that are drawn again as they change,
 * below lines that stay. Without a terminal only the lines that stay are printed.
 */

import { type Output, printLine, type Terminal } from '../launch/terminal.ts';
import { escapeControls } from '../platform/escape-controls.ts';
import { formatSize } from '../platform/size.ts';

/** The interval in milliseconds. Nobody would see more frequent drawing, and it would cost more. */
const DRAW_EVERY = 100;
const WIDTH = 80;
/** Moves the cursor up by this number of lines, to the beginning of a line, and clears all that follows. */
const clearAbove = (lines: number) => `\x1b[${lines}A\r\x1b[J`;

export class TransferProgress implements Disposable {
  readonly #output: Output;
  readonly #lines: () => readonly string[];
  #timer: NodeJS.Timeout | undefined;
  #drawn = 0;

  /**
   * Draws the result of `lines` on the terminal's stderr, so that what is printed to stdout can go elsewhere.
   */
  constructor({ stderr }: Terminal, lines: () => readonly string[]) {
    this.#output = stderr;
    this.#lines = lines;
    if (stderr.isTTY === true) this.#timer = setInterval(() => this.draw(), DRAW_EVERY).unref();
  }

  draw(): void {
    if (this.#timer === undefined) return;
    const width = (this.#output.columns ?? WIDTH) - 1;
    // Text from other parties reaches a terminal here. A control character in it could leave its line.
    const lines = this.#lines().map((line) => `${escapeControls(line).slice(0, width)}\n`);
    this.#output.write(`${this.#clearing()}${lines.join('')}`);
    this.#drawn = lines.length;
  }

  /** Prints a line that stays, above those that are drawn. */
  print(output: Output, line: string): void {
    this.#clear();
    printLine(output, line);
    this.draw();
  }

  #clear(): void {
    if (this.#drawn > 0) this.#output.write(this.#clearing());
    this.#drawn = 0;
  }

  #clearing(): string {
    return this.#drawn === 0 ? '' : clearAbove(this.#drawn);
  }

  /** Removes the drawn lines. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#clear();
  }
}

const BAR = 24;

/** Draws `[######------------------]`; the bar is empty if the total is not known. */
export function formatBar(done: number, all: number | undefined): string {
  const share = all === undefined ? 0 : all === 0 ? 1 : Math.min(1, done / all);
  const full = Math.floor(share * BAR);
  return `[${'#'.repeat(full)}${'-'.repeat(BAR - full)}]`;
}

/** The milliseconds over which a rate is measured: short enough to follow, and long enough to be read. */
const RATE_OVER = 5_000;

/** The recent rate at which bytes arrive. */
export class TransferRate {
  readonly #now: () => number;
  readonly #seen: { readonly at: number; readonly bytes: number }[];
  #bytes = 0;

  /** @param now a clock in milliseconds, with any origin */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#seen = [{ at: now(), bytes: 0 }];
  }

  add(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Returns the rate as `12.3 MiB/s`. It must be called at each drawing, because it measures then. */
  write(): string {
    const at = this.#now();
    this.#seen.push({ at, bytes: this.#bytes });
    while (this.#seen.length > 2 && (this.#seen[1]?.at ?? at) <= at - RATE_OVER) this.#seen.shift();
    const first = this.#seen[0] ?? { at, bytes: 0 };
    const seconds = Math.max(at - first.at, 1) / 1000;
    return `${formatSize((this.#bytes - first.bytes) / seconds)}/s`;
  }
}
