import type { ServerResponse } from 'node:http';

/** Counts the requests in flight by a key, such as an address, and tells when a key has reached its limit. */
export class InFlight {
  readonly #limit: number;
  readonly #counts = new Map<string, number>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * Counts a request until its response has ended or its connection is lost. Returns false if its key is at
   * the limit.
   */
  enter(key: string, response: ServerResponse): boolean {
    const count = this.#counts.get(key) ?? 0;
    if (count >= this.#limit) return false;
    this.#counts.set(key, count + 1);
    if (response.destroyed) this.#leave(key);
    // Node emits 'close' once for each response. `once` would cost as much as the rest of this method.
    else response.on('close', () => this.#leave(key));
    return true;
  }

  #leave(key: string): void {
    const count = this.#counts.get(key) ?? 0;
    if (count > 1) this.#counts.set(key, count - 1);
    else this.#counts.delete(key);
  }
}
