/**
 * A file of lines to which several processes append. A line that cannot be written waits and is tried again; it is lost only
 * beyond a bound, and then it is counted. A line that was written in part is written again on a line of its own.
 */
import { constants, type FileHandle, mkdir, open, stat } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../../platform/log.ts';

export interface LineFileOptions {
  readonly file: string;
  /** Bytes of the lines that wait; what comes beyond that is lost. */
  readonly capacity: number;
  /** What is written where lines were lost: how many since when, in milliseconds since the epoch. */
  readonly lossLine: (count: number, since: number) => string;
  readonly log: Logger;
}

/** Bytes of one write. */
const BATCH = 64 * 1024;
/** Milliseconds between two tries. A file is not asked every time for which it takes no more. */
const FIRST_PAUSE = 10;
const LONGEST_PAUSE = 1_000;
/** Milliseconds without progress after which the file is in trouble, even if no write has failed. */
const STUCK_AFTER = 1_000;
/** Milliseconds for the lines that are left at the end. */
const END_PATIENCE = 5_000;
/** Milliseconds between two lines of the log that say that lines are being lost. */
const SAY_LOST_EVERY = 10_000;

/**
 * Milliseconds after which somebody looks how the file ends before writing to it. Another process may have been stopped in the
 * middle of a line, by a full disk that this one has not met.
 */
const LOOK_AFTER = 100;

/** A FIFO, or another file of its kind, that takes nothing at the moment must not hold a thread. */
const FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK;
const MODE = 0o640;

export class LineFile implements AsyncDisposable {
  readonly #options: LineFileOptions;
  readonly #ending = new AbortController();
  /** Each ends with a line end. */
  readonly #lines: string[] = [];
  #waiting = 0;
  #handle: FileHandle | undefined;
  /** The same file, where it can be read. */
  #reader: FileHandle | undefined;
  /** A write of this process, or of another one, may have ended within a line. */
  #isTorn = false;
  #isReopening = false;
  #running: Promise<void> | undefined;
  #isScheduled = false;
  /** By the monotonic clock. */
  #lastProgress = performance.now();
  #lastWrite = Number.NEGATIVE_INFINITY;
  #error: Error | undefined;
  #troubleIsSaid = false;
  #lost = 0;
  /** Lost lines that the log, and the file, do not say yet. */
  #unlogged = 0;
  #unwritten = 0;
  #lostSince = 0;
  #lastSaid = Number.NEGATIVE_INFINITY;
  #wakeUps: (() => void)[] = [];

  constructor(options: LineFileOptions) {
    this.#options = options;
    this.#run();
  }

  /** Bytes that wait to be written. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Lines that were lost. */
  get lost(): number {
    return this.#lost;
  }

  /** Milliseconds for which nothing could be written, although something waits; 0: nothing waits. */
  get stuckFor(): number {
    return this.#waiting === 0 && this.#error === undefined ? 0 : performance.now() - this.#lastProgress;
  }

  /** Why lines cannot be written at the moment; undefined: they can be. */
  get trouble(): string | undefined {
    if (this.#error !== undefined) return this.#error.message;
    return this.stuckFor > STUCK_AFTER ? 'the file takes no lines' : undefined;
  }

  /** `line` without a line end. */
  append(line: string): void {
    const text = `${line}\n`;
    const size = Buffer.byteLength(text);
    if (this.#ending.signal.aborted || this.#waiting + size > this.#options.capacity) return this.#lose(1);
    // Time in which there was nothing to write is no time in which nothing could be written.
    if (this.#waiting === 0 && this.#error === undefined) this.#lastProgress = performance.now();
    this.#lines.push(text);
    this.#waiting += size;
    this.#sayTrouble();
    // The lines of one turn of the event loop are one write: each write costs more than its lines.
    if (this.#running !== undefined || this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.#run());
  }

  /** Opens the file anew, which somebody has renamed. Until that succeeds lines go on into the old one. */
  reopen(): void {
    this.#isReopening = true;
    this.#run();
  }

  /** Settles when something was written, and at the latest after so many milliseconds. */
  async progress(patience: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wakeUps.push(resolve);
    const late = setTimeout(resolve, patience);
    await promise;
    clearTimeout(late);
  }

  #run(): void {
    this.#isScheduled = false;
    this.#running ??= this.#write().finally(() => {
      this.#running = undefined;
      // What came while the last write ended.
      if (this.#hasWork()) this.#run();
    });
  }

  #hasWork(): boolean {
    return (
      !this.#ending.signal.aborted && (this.#waiting > 0 || this.#handle === undefined || this.#isReopening)
    );
  }

  async #write(): Promise<void> {
    let pause = FIRST_PAUSE;
    while (this.#hasWork()) {
      try {
        if (this.#handle === undefined || this.#isReopening) await this.#open();
        if (this.#waiting > 0) await this.#writeBatch();
        else this.#succeeded();
        pause = FIRST_PAUSE;
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        // It is full for now. That is trouble only if it lasts.
        if (code !== 'EAGAIN') this.#error = error as Error;
        // Others write the same file, and have no more luck.
        this.#isTorn = true;
        this.#sayTrouble();
        await delay(pause, undefined, { signal: this.#ending.signal, ref: false }).catch(() => {});
        pause = Math.min(pause * 2, LONGEST_PAUSE);
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
      log.error({ file, error: (error as Error).message }, 'the audit log cannot be written');
      return;
    }
    await before?.close();
    await this.#reader?.close();
    this.#reader = await openToRead(file);
    this.#isTorn ||= await endsWithinLine(this.#reader);
  }

  async #writeBatch(): Promise<void> {
    if (this.#handle === undefined) return;
    if (performance.now() - this.#lastWrite > LOOK_AFTER) this.#isTorn ||= await endsWithinLine(this.#reader);
    let count = 0;
    let text = this.#isTorn ? '\n' : '';
    while (count < this.#lines.length && text.length < BATCH) text += this.#lines[count++];
    const bytes = Buffer.from(text);
    const { bytesWritten } = await this.#handle.write(bytes);
    const whole =
      bytesWritten === bytes.length ? count : this.#wholeLines(bytesWritten - (this.#isTorn ? 1 : 0));
    const size = this.#lines.splice(0, whole).reduce((sum, line) => sum + Buffer.byteLength(line), 0);
    this.#waiting -= size;
    this.#isTorn = bytes[bytesWritten - 1] !== LINE_END;
    this.#lastWrite = performance.now();
    this.#succeeded();
  }

  /** How many of the lines that wait are within so many bytes. */
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
    this.#options.log.error({ file: this.#options.file, error: trouble }, 'the audit log cannot be written');
  }

  #lose(count: number): void {
    if (this.#unwritten === 0) this.#lostSince = Date.now();
    this.#lost += count;
    this.#unlogged += count;
    this.#unwritten += count;
    const isEnded = this.#ending.signal.aborted;
    if (isEnded || performance.now() - this.#lastSaid > SAY_LOST_EVERY) this.#sayLost();
  }

  #sayLost(): void {
    if (this.#unlogged === 0) return;
    const { file, log } = this.#options;
    log.error({ file, lines: this.#unlogged, lost: this.#lost }, 'audit lines were lost');
    this.#unlogged = 0;
    this.#lastSaid = performance.now();
  }

  /** Waits a while for the lines that are left. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ending.signal.aborted) return;
    const end = performance.now() + END_PATIENCE;
    while (this.#waiting > 0 && performance.now() < end) {
      this.#run();
      await this.progress(end - performance.now());
    }
    this.#ending.abort();
    if (this.#lines.length > 0) this.#lose(this.#lines.splice(0).length);
    this.#sayLost();
    // A write that hangs would hold up the end.
    if (this.#waiting === 0) await this.#running;
    const closing = Promise.all([this.#handle?.close(), this.#reader?.close()]);
    if (this.#waiting === 0) await closing;
    else closing.catch(() => {});
  }
}

const LINE_END = 0x0a;

/** Undefined of what is no regular file, and where it may only be written. */
async function openToRead(file: string): Promise<FileHandle | undefined> {
  try {
    if (!(await stat(file)).isFile()) return undefined;
    return await open(file, constants.O_RDONLY);
  } catch {
    return undefined;
  }
}

/** As where a process ended, or a disk was full, in the middle of a write. */
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
