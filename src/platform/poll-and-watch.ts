import { type FSWatcher, watch } from 'node:fs';
import path from 'node:path';

export interface PollOptions {
  /** Directories and files: where the file system tells of a change in one of them, the task runs at once. */
  readonly watched: readonly string[];
  /** Milliseconds between two runs where the file system tells nothing, as a network file system may not. */
  readonly interval: number;
  readonly task: () => Promise<void>;
}

/** Milliseconds. The next run is not so soon after the last one. */
const TOO_SOON = 50;

/** Runs a task again and again, one run after the other. What it throws is not caught. */
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

  /** Also what could not be watched before, and what was replaced: its watch has gone with it. */
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
      // Not there, or not permitted, or there are too many watches.
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
 * Milliseconds until the next multiple of `interval` by this process' clock: whatever is polled in a process is polled at the same
 * moment, so that an idle process is woken once for all of it.
 */
function untilNext(interval: number): number {
  const left = interval - (performance.now() % interval);
  return left < TOO_SOON ? left + interval : left;
}
