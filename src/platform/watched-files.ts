import { stat } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { FaultsError, formatFault, type Parsed } from './fault.ts';
import type { Logger } from './log.ts';
import { MutableValue, type ObservableValue } from './observable-value.ts';
import { pollAndWatch } from './poll-and-watch.ts';
import { messageOf } from './reason.ts';
import { isAbsent, whileAnswering } from './regular-file.ts';

export interface WatchOptions {
  /** Describes the files at this moment. The text differs if their content may differ. */
  readonly state: () => Promise<string>;
  /** The result of `state` before the files were read, so that a write in between is noticed. */
  readonly seen: string;
  /** Reads the files again. Errors are logged, and the next change causes another attempt. */
  readonly load: () => Promise<void>;
  /**
   * The directories in which changes are noticed at once. One that cannot be watched is only checked from
   * time to time. A file can be listed instead if its directory may not be read.
   */
  readonly directories: readonly string[];
  /**
   * The milliseconds between two checks; if absent, short enough for a change to take effect within a second.
   */
  readonly interval?: number;
  readonly log: Logger;
}

export interface Watch extends Disposable {
  /** Reads the files now, whether they have changed or not. */
  look(): Promise<void>;
}

/**
 * The interval in milliseconds if the file system reports no changes. It is half of the second that a change
 * may take, so that there is time for reading.
 */
const INTERVAL = 500;
/**
 * The interval in milliseconds for files whose changes may take longer than a second if the file system
 * reports none.
 */
export const SLOW_INTERVAL = 2_500;
/**
 * The pause in milliseconds. Writing in place takes several steps, so a file is read when it has not changed
 * for this long.
 */
const SETTLE = 30;
/**
 * The number of such pauses. A file that still changes after the last one is read too, and is refused if it
 * is torn.
 */
const SETTLE_AT_MOST = 10;

/**
 * Calls `load` whenever the files may have changed, in whatever way they were written: in place, by a rename,
 * or by a symbolic link that now points elsewhere. A missing file is a state like any other.
 *
 * A watch on a file ends with the first rename over it, and a watch on a directory ends when a symbolic link
 * to it is replaced. So the directories are watched for speed, and the file system is polled at short
 * intervals for certainty.
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

  /** The files are loaded one after the other, so that the last loading decides. */
  #load(): Promise<void> {
    const { load, log } = this.#options;
    this.#loading = this.#loading.then(load).catch((error: Error) => {
      log.error({ err: error }, 'a file cannot be read anew');
    });
    return this.#loading;
  }

  [Symbol.dispose](): void {
    this.#polling[Symbol.dispose]();
  }
}

/**
 * Returns options for files whose changes may take longer than a second on a file system that reports none. A
 * gateway may read these files but not their directories, which also contain secrets.
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
    return (await isAbsent(file, error)) ? ABSENT : `cannot be seen: ${messageOf(error)}`;
  }
}

/** The state of an absent file. */
export const ABSENT = 'absent';

/** The current content of a hand-written file. */
export interface WatchedFile<T> extends ObservableValue<T>, Watch {}

/**
 * Watches a hand-written file. A torn or invalid file changes nothing: the last valid content is still used,
 * and the log says what is wrong. `what` is the name of the file in the log.
 *
 * @throws FaultsError if the file is invalid now, because there is then no last valid content
 */
export async function watchFile<T>(
  what: string,
  file: string,
  read: (file: string) => Promise<Parsed<T>>,
  log: Logger,
  watched: Pick<WatchOptions, 'directories' | 'interval'> = { directories: [path.dirname(file)] },
): Promise<WatchedFile<T>> {
  const state = () => stateOfFile(file);
  const seen = await state();
  const first = await read(file);
  if ('faults' in first) throw new FaultsError(first.faults);
  const live = new MutableValue(first.value);
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
