/**
 * A file of lines to which several processes append. A line that cannot be written waits and is tried again.
 * If too many bytes wait, further lines are lost and counted. A partly written line is written again on a
 * line of its own.
 */
import { constants, type FileHandle, mkdir, open, stat } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../../platform/log.ts';
import { asError, isErrno } from '../../platform/reason.ts';
import { AUDIT_FILE } from '../limits.ts';

export interface LineFileOptions {
  readonly file: string;
  /** The most bytes of waiting lines. Further lines are lost. */
  readonly capacity: number;
  /**
   * Returns the line that replaces lost lines, from their number and the time of the first one in
   * milliseconds since the epoch.
   */
  readonly lossLine: (count: number, since: number) => string;
  readonly log: Logger;
}

/**
 * O_NONBLOCK, because a FIFO or a similar file that accepts nothing at the moment must not block a thread.
 */
const FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK;
const MODE = 0o640;

export class LineFile implements AsyncDisposable {
  readonly #options: LineFileOptions;
  readonly #ending = new AbortController();
  /** The waiting lines, each with its line end. */
  readonly #lines: string[] = [];
  #waiting = 0;
  #handle: FileHandle | undefined;
  /** The same file opened for reading, if that is possible. */
  #reader: FileHandle | undefined;
  /** True if a write of this or another process may have ended within a line. */
  #isTorn = false;
  #isReopening = false;
  #running: Promise<void> | undefined;
  #isScheduled = false;
  /** The time of the last progress, by the monotonic clock. */
  #lastProgress = performance.now();
  #lastWrite = Number.NEGATIVE_INFINITY;
  #error: Error | undefined;
  #troubleIsSaid = false;
  #lost = 0;
  /** The lost lines that neither the log nor the file mentions yet. */
  #unlogged = 0;
  #unwritten = 0;
  #lostSince = 0;
  #lastSaid = Number.NEGATIVE_INFINITY;
  #wakeUps: (() => void)[] = [];

  constructor(options: LineFileOptions) {
    this.#options = options;
    this.#run();
  }

  /** The bytes that wait to be written. */
  get waiting(): number {
    return this.#waiting;
  }

  /** The number of lost lines. */
  get lost(): number {
    return this.#lost;
  }

  /** Milliseconds for which nothing could be written although lines wait; 0 if none wait. */
  get stuckFor(): number {
    return this.#waiting === 0 && this.#error === undefined ? 0 : performance.now() - this.#lastProgress;
  }

  /** The reason why lines cannot be written at the moment; undefined if they can. */
  get trouble(): string | undefined {
    if (this.#error !== undefined) return this.#error.message;
    return this.stuckFor > AUDIT_FILE.stuckAfter ? 'the file takes no lines' : undefined;
  }

  /** Appends `line`, which has no line end. */
  append(line: string): void {
    const text = `${line}\n`;
    const size = Buffer.byteLength(text);
    if (this.#ending.signal.aborted || this.#waiting + size > this.#options.capacity) return this.#lose(1);
    // Time without anything to write does not count as time without progress.
    if (this.#waiting === 0 && this.#error === undefined) this.#lastProgress = performance.now();
    this.#lines.push(text);
    this.#waiting += size;
    this.#sayTrouble();
    this.#schedule();
  }

  /** Counts lines that could not be made, and says in the file that they are missing. */
  lose(count: number): void {
    this.#lose(count);
    this.#schedule();
  }

  /** Opens the file again after somebody has renamed it. Until that succeeds, lines go to the old file. */
  reopen(): void {
    this.#isReopening = true;
    this.#run();
  }

  /** Settles after the next write, or at the latest after `patience` milliseconds. */
  async progress(patience: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wakeUps.push(resolve);
    const late = setTimeout(resolve, patience);
    await promise;
    clearTimeout(late);
  }

  /**
   * All lines of one turn of the event loop are written together, and all lines of some turns if there are
   * many.
   */
  #schedule(): void {
    if (this.#running !== undefined || this.#isScheduled) return;
    this.#isScheduled = true;
    const early = this.#lastWrite + AUDIT_FILE.writeEvery - performance.now();
    if (early > 0) setTimeout(() => this.#run(), early);
    else setImmediate(() => this.#run());
  }

  #run(): void {
    this.#isScheduled = false;
    this.#running ??= this.#write().finally(() => {
      this.#running = undefined;
      // Lines may have been added while the last write ended.
      if (this.#hasWork()) this.#schedule();
    });
  }

  #hasWork(): boolean {
    const waits = this.#waiting > 0 || this.#unwritten > 0;
    return !this.#ending.signal.aborted && (waits || this.#handle === undefined || this.#isReopening);
  }

  async #write(): Promise<void> {
    let pause = AUDIT_FILE.firstPause;
    while (this.#hasWork()) {
      try {
        if (this.#handle === undefined || this.#isReopening) await this.#open();
        if (this.#waiting > 0) await this.#writeBatch();
        else this.#succeeded();
        // The next lines may wait for others.
        if (this.#waiting < AUDIT_FILE.batch) return;
        pause = AUDIT_FILE.firstPause;
      } catch (error) {
        // The file is full for now. That is a problem only if it lasts.
        if (!isErrno(error, 'EAGAIN')) this.#error = asError(error);
        // Other processes write the same file, and may also fail in the middle of a line.
        this.#isTorn = true;
        this.#sayTrouble();
        await delay(pause, undefined, { signal: this.#ending.signal, ref: false }).catch(() => {});
        pause = Math.min(pause * 2, AUDIT_FILE.longestPause);
      }
    }
  }

  async #open(): Promise<void> {
    const { file, log } = this.#options;
    const before = this.#handle;
    this.#isReopening = false;
    try {
      await mkdir(path.dirname(file), { recursive: true });
      this.#handle = await open(file, FLAGS, MODE);
    } catch (error) {
      if (before === undefined) throw error;
      log.error({ file, err: error }, 'the audit log cannot be written');
      return;
    }
    await before?.close();
    await this.#reader?.close();
    this.#reader = await openToRead(file);
    this.#isTorn ||= await endsWithinLine(this.#reader);
  }

  async #writeBatch(): Promise<void> {
    if (this.#handle === undefined) return;
    if (performance.now() - this.#lastWrite > AUDIT_FILE.examineAfter)
      this.#isTorn ||= await endsWithinLine(this.#reader);
    let count = 0;
    let text = this.#isTorn ? '\n' : '';
    while (count < this.#lines.length && text.length < AUDIT_FILE.batch) text += this.#lines[count++];
    const bytes = Buffer.from(text);
    const { bytesWritten } = await this.#handle.write(bytes);
    // If the file took nothing, it did not take the line end before the first line either.
    const ofLines = Math.max(0, bytesWritten - (this.#isTorn ? 1 : 0));
    const whole = bytesWritten === bytes.length ? count : this.#wholeLines(ofLines);
    const size = this.#lines.splice(0, whole).reduce((sum, line) => sum + Buffer.byteLength(line), 0);
    this.#waiting -= size;
    this.#isTorn = bytes[bytesWritten - 1] !== LINE_END;
    this.#lastWrite = performance.now();
    this.#succeeded();
  }

  /** Counts the waiting lines that fit into `bytes`. */
  #wholeLines(bytes: number): number {
    let end = 0;
    return this.#lines.findIndex((line) => {
      end += Buffer.byteLength(line);
      return end > bytes;
    });
  }

  #succeeded(): void {
    const { file, log, lossLine } = this.#options;
    this.#lastProgress = performance.now();
    this.#error = undefined;
    for (const wake of this.#wakeUps.splice(0)) wake();
    if (this.#unwritten > 0) {
      const line = `${lossLine(this.#unwritten, this.#lostSince)}\n`;
      this.#lines.push(line);
      this.#waiting += Buffer.byteLength(line);
      this.#unwritten = 0;
    }
    if (!this.#troubleIsSaid) return;
    this.#troubleIsSaid = false;
    this.#sayLost();
    log.warn({ file, lost: this.#lost }, 'the audit log can be written again');
  }

  #sayTrouble(): void {
    const { trouble } = this;
    if (trouble === undefined || this.#troubleIsSaid) return;
    this.#troubleIsSaid = true;
    this.#options.log.error({ file: this.#options.file, reason: trouble }, 'the audit log cannot be written');
  }

  #lose(count: number): void {
    if (this.#unwritten === 0) this.#lostSince = Date.now();
    this.#lost += count;
    this.#unlogged += count;
    this.#unwritten += count;
    const isEnded = this.#ending.signal.aborted;
    if (isEnded || performance.now() - this.#lastSaid > AUDIT_FILE.sayLostEvery) this.#sayLost();
  }

  #sayLost(): void {
    if (this.#unlogged === 0) return;
    const { file, log } = this.#options;
    log.error({ file, lines: this.#unlogged, lost: this.#lost }, 'audit lines were lost');
    this.#unlogged = 0;
    this.#lastSaid = performance.now();
  }

  /** Waits a limited time for the remaining lines. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ending.signal.aborted) return;
    const end = performance.now() + AUDIT_FILE.endPatience;
    while (this.#waiting > 0 && performance.now() < end) {
      this.#run();
      await this.progress(end - performance.now());
    }
    this.#ending.abort();
    if (this.#lines.length > 0) this.#lose(this.#lines.splice(0).length);
    this.#sayLost();
    // A write that hangs would delay the end.
    if (this.#waiting === 0) await this.#running;
    const closing = Promise.all([this.#handle?.close(), this.#reader?.close()]);
    if (this.#waiting === 0) await closing;
    else closing.catch(() => {});
  }
}

const LINE_END = 0x0a;

/** Returns undefined if the file is not a regular file, or may only be written. */
async function openToRead(file: string): Promise<FileHandle | undefined> {
  try {
    if (!(await stat(file)).isFile()) return undefined;
    return await open(file, constants.O_RDONLY);
  } catch {
    return undefined;
  }
}

/**
 * True if the file ends within a line. This happens if a process ended, or a disk became full, in the middle
 * of a write.
 */
async function endsWithinLine(reader: FileHandle | undefined): Promise<boolean> {
  try {
    const { size } = (await reader?.stat()) ?? { size: 0 };
    if (reader === undefined || size === 0) return false;
    const { buffer } = await reader.read(Buffer.alloc(1), 0, 1, size - 1);
    return buffer[0] !== LINE_END;
  } catch {
    return false;
  }
}
