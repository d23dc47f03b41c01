import { once } from 'node:events';
import { parentPort, Worker } from 'node:worker_threads';

/** The length in characters. A shorter file is parsed sooner than a worker starts. */
export const SHORT_TEXT = 64 * 1024;

/**
 * A worker that answers questions one after the other. The first question starts it, and it persists for the
 * others, because its code is then compiled and its cache filled.
 */
export class PersistentWorker<Question, Answer> implements Disposable {
  readonly #file: URL;
  readonly #stop = new AbortController();
  #worker: Worker | undefined;
  #asking: Promise<unknown> = Promise.resolve();

  /** @param file the worker's module, which calls `serveWorker` */
  constructor(file: URL) {
    this.#file = file;
  }

  /**
   * Rejects with an error that the worker throws. The error ends the worker, and the next question starts
   * another one.
   */
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
      // While nobody waits for an answer, the worker does not keep the process alive.
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

/** Answers the questions, on the worker's side. */
export function serveWorker<Question, Answer>(answer: (question: Question) => Answer): void {
  parentPort?.on('message', (question: Question) => parentPort?.postMessage(answer(question)));
}
