import { type FSWatcher, watch } from 'node:fs';
import path from 'node:path';

export interface PollOptions {
  /**
   * The directories and files to watch. If the file system reports a change in one of them, the task runs at
   * once.
   */
  readonly watched: readonly string[];
  /**
   * The milliseconds between two runs if the file system reports no changes, as some network file systems do.
   */
  readonly interval: number;
  readonly task: () => Promise<void>;
}

/** The shortest time between two runs, in milliseconds. */
const SHORTEST_PAUSE = 50;

/** Runs a task repeatedly, one run after the other. Errors that it throws are not caught. */
export function pollAndWatch(options: PollOptions): Disposable {
  return new Poller(options);
}

class Poller implements Disposable {
  readonly #options: PollOptions;
  readonly #stop = new AbortController();
  readonly #watches = new Map<string, FSWatcher>();
  #nudge = Promise.withResolvers<void>();

  constructor(options: PollOptions) {
    this.#options = options;
    this.#watchAll();
    this.#follow().catch((error: unknown) => {
      if (!this.#stop.signal.aborted) throw error;
    });
  }

  async #follow(): Promise<void> {
    const { interval, task } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const tick = setTimeout(this.#nudge.resolve, untilNext(interval)).unref();
      await this.#nudge.promise;
      clearTimeout(tick);
      this.#nudge = Promise.withResolvers();
      if (signal.aborted) return;
      this.#watchAll();
      await task();
    }
  }

  /**
   * Watches all paths that have no watch: those that could not be watched before, and replaced files, whose
   * watch ended with the old file.
   */
  #watchAll(): void {
    for (const file of this.#options.watched) if (!this.#watches.has(file)) this.#watch(file);
  }

  #watch(file: string): void {
    try {
      const watcher = watch(file, { persistent: false }, (event, name) => {
        if (event === 'rename' && name === path.basename(file)) this.#unwatch(file);
        this.#nudge.resolve();
      });
      this.#watches.set(file, watcher);
      watcher.on('error', () => this.#unwatch(file));
    } catch {
      // The path is absent or not permitted, or there are too many watches.
    }
  }

  #unwatch(file: string): void {
    this.#watches.get(file)?.close();
    this.#watches.delete(file);
  }

  [Symbol.dispose](): void {
    this.#stop.abort();
    this.#nudge.resolve();
    for (const watcher of this.#watches.values()) watcher.close();
  }
}

/**
 * Returns the milliseconds until the next multiple of `interval` by this process's clock. All polling in a
 * process then happens at the same moment, so that an idle process wakes once for all of it.
 */
function untilNext(interval: number): number {
  const left = interval - (performance.now() % interval);
  return left < SHORTEST_PAUSE ? left + interval : left;
}
