import { once } from 'node:events';
import { parentPort, Worker } from 'node:worker_threads';

/** Characters of a file. What is shorter is parsed sooner than a thread has begun. */
export const SHORT_FILE = 64 * 1024;

/**
 * A thread that answers questions, one after the other. It is started by the first one and kept for the others, for which it
 * has its code compiled and what it remembers.
 */
export class KeptThread<Question, Answer> implements Disposable {
  readonly #file: URL;
  readonly #stop = new AbortController();
  #worker: Worker | undefined;
  #asking: Promise<unknown> = Promise.resolve();

  /** `file` calls `answerQuestions`. */
  constructor(file: URL) {
    this.#file = file;
  }

  /** Rejects with what the thread throws, which ends it: the next question is asked of another one. */
  ask(question: Question): Promise<Answer> {
    const asked = this.#asking.then(() => this.#ask(question));
    this.#asking = asked.catch(() => {});
    return asked;
  }

  async #ask(question: Question): Promise<Answer> {
    const { signal } = this.#stop;
    signal.throwIfAborted();
    this.#worker ??= new Worker(this.#file, { env: {} });
    const worker = this.#worker;
    try {
      worker.postMessage(question);
      // While nobody waits for it, it keeps no process alive.
      worker.ref();
      const [answer] = (await once(worker, 'message', { signal })) as [Answer];
      worker.unref();
      return answer;
    } catch (error) {
      this.#worker = undefined;
      void worker.terminate();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#stop.abort();
    void this.#worker?.terminate();
  }
}

/** The thread's side. */
export function answerQuestions<Question, Answer>(answer: (question: Question) => Answer): void {
  parentPort?.on('message', (question: Question) => parentPort?.postMessage(answer(question)));
}
