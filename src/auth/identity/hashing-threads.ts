import { KeptThread } from '../../platform/kept-thread.ts';
import type { PasswordParameters } from './password.ts';

/** What a hashing thread is asked to do. */
export type HashingTask =
  | { readonly kind: 'hash'; readonly password: string; readonly parameters: PasswordParameters }
  | { readonly kind: 'verify'; readonly password: string; readonly hash: string };

type HashingThread = KeptThread<HashingTask, string | boolean>;

const FILE = new URL('./hashing-thread.ts', import.meta.url);

/**
 * Threads that hash passwords at a low priority, so that a flood of logins takes only the CPU time that pulls leave. On the
 * event loop a hash would hold up what gateways ask. The threads of libuv cannot be used, because they serve the file
 * system too and must keep their priority.
 */
export class HashingThreads implements Disposable {
  readonly #all: HashingThread[] = [];
  readonly #idle: HashingThread[] = [];

  async hash(password: string, parameters: PasswordParameters): Promise<string> {
    return String(await this.#ask({ kind: 'hash', password, parameters }));
  }

  async verify(hash: string, password: string): Promise<boolean> {
    return (await this.#ask({ kind: 'verify', password, hash })) === true;
  }

  /** There are as many threads as there were tasks at a time. The caller bounds them. */
  async #ask(task: HashingTask): Promise<string | boolean> {
    const thread = this.#idle.pop() ?? this.#begin();
    try {
      return await thread.ask(task);
    } finally {
      this.#idle.push(thread);
    }
  }

  #begin(): HashingThread {
    const thread: HashingThread = new KeptThread(FILE);
    this.#all.push(thread);
    return thread;
  }

  [Symbol.dispose](): void {
    for (const thread of this.#all) thread[Symbol.dispose]();
  }
}
