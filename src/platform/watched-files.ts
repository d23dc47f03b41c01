import { stat } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { FaultsError, formatFault, type Parsed } from './fault.ts';
import { type Live, LiveValue } from './live.ts';
import type { Logger } from './log.ts';
import { pollAndWatch } from './poll-and-watch.ts';
import { isAbsent, whileAnswering } from './regular-file.ts';

export interface WatchOptions {
  /** What the files are now, as one text: differs where their content may differ. */
  readonly state: () => Promise<string>;
  /** What `state` said before they were read, so that a write in between is seen. */
  readonly seen: string;
  /** Reads them anew. What it throws is logged, and the next change is another chance. */
  readonly load: () => Promise<void>;
  /**
   * The directories in which changes are noticed at once. One that cannot be watched is only checked from
   * time to time. A file can be listed instead if its directory may not be read.
   */
  readonly directories: readonly string[];
  /** Milliseconds between two checks; if absent, short enough for a change to take effect within a second. */
  readonly interval?: number;
  readonly log: Logger;
}

export interface Watch extends Disposable {
  /** Reads the files now, changed or not. */
  look(): Promise<void>;
}

/** How soon a change is seen where nothing tells. Half of the second that it may take, so that reading fits in too. */
const INTERVAL = 500;
/**
 * The interval in milliseconds for files whose changes may take longer than a second if the file system
 * reports none.
 */
export const SLOW_INTERVAL = 2_500;
/** Whoever writes in place writes in several steps: a file is read when it has kept still for so long. */
const SETTLE = 30;
/** One that never keeps still is read all the same, and is refused if it is torn. */
const SETTLE_AT_MOST = 10;

/**
 * Calls `load` whenever the files may have changed, in whatever way they were written: in place,
 * renamed over, or by a symbolic link that points elsewhere now. A missing file is a state like any other.
 *
 * A watch on a file goes deaf with the first rename over it, and on a directory with the exchange of a symbolic link that
 * leads to it; so directories are watched, to be quick, and the file system is asked at short intervals, to be sure.
 */
export function watchFiles(options: WatchOptions): Watch {
  return new Watcher(options);
}

class Watcher implements Watch {
  readonly #options: WatchOptions;
  readonly #polling: Disposable;
  #seen: string;
  #loading: Promise<void> = Promise.resolve();

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#seen = options.seen;
    this.#polling = pollAndWatch({
      watched: options.directories,
      interval: options.interval ?? INTERVAL,
      task: async () => {
        if (await this.#hasChanged()) await this.#load();
      },
    });
  }

  async #hasChanged(): Promise<boolean> {
    const { state } = this.#options;
    let now = await state();
    if (now === this.#seen) return false;
    for (let turn = 0; turn < SETTLE_AT_MOST; turn++) {
      await delay(SETTLE, undefined, { ref: false });
      const later = await state();
      if (later === now) break;
      now = later;
    }
    this.#seen = now;
    return true;
  }

  async look(): Promise<void> {
    this.#seen = await this.#options.state();
    await this.#load();
  }

  /** One after the other: what was read last is what holds. */
  #load(): Promise<void> {
    const { load, log } = this.#options;
    this.#loading = this.#loading.then(load).catch((error: Error) => {
      log.error({ error: error.message }, 'a file cannot be read anew');
    });
    return this.#loading;
  }

  [Symbol.dispose](): void {
    this.#polling[Symbol.dispose]();
  }
}

/**
 * Options for files whose changes may take longer than a second on a file system that reports none. A gateway
 * may read these files but not their directories, which also contain secrets.
 */
export function watchedSlowly(files: readonly string[]): Pick<WatchOptions, 'directories' | 'interval'> {
  const directories = new Set(files.map((file) => path.dirname(file)));
  return { directories: [...files, ...directories], interval: SLOW_INTERVAL };
}

/**
 * Returns a text that differs between two states of a file, without reading the file. A file that cannot be
 * seen is not absent.
 */
export async function stateOfFile(file: string): Promise<string> {
  try {
    const stats = await whileAnswering(file, () => stat(file, { bigint: true }));
    const { dev, ino, size, mtimeNs, ctimeNs } = stats;
    return [dev, ino, size, mtimeNs, ctimeNs].join(' ');
  } catch (error) {
    return (await isAbsent(file, error)) ? ABSENT : `cannot be seen: ${(error as Error).message}`;
  }
}

/** The state of an absent file. */
export const ABSENT = 'absent';

/** What a hand-written file says now. */
export interface Followed<T> extends Live<T>, Watch {}

/**
 * Follows a hand-written file. One that is torn or wrong changes nothing: the last good one goes on to hold, and the log
 * says what is wrong. `what` is how the log calls the file.
 *
 * @throws FaultsError where it is wrong now, for then there is no last good one.
 */
export async function followFile<T>(
  what: string,
  file: string,
  read: (file: string) => Promise<Parsed<T>>,
  log: Logger,
  watched: Pick<WatchOptions, 'directories' | 'interval'> = { directories: [path.dirname(file)] },
): Promise<Followed<T>> {
  const state = () => stateOfFile(file);
  const seen = await state();
  const first = await read(file);
  if ('faults' in first) throw new FaultsError(first.faults);
  const live = new LiveValue(first.value);
  const load = async () => {
    const next = await read(file);
    if ('faults' in next) {
      log.error({ file, faults: next.faults.map(formatFault) }, `${what} refused; the last good one holds`);
    } else {
      log.info({ file }, `${what} changed`);
      live.set(next.value);
    }
  };
  const watching = watchFiles({ state, seen, load, ...watched, log });
  return {
    get current() {
      return live.current;
    },
    changed: () => live.changed(),
    look: () => watching.look(),
    [Symbol.dispose]: () => watching[Symbol.dispose](),
  };
}
