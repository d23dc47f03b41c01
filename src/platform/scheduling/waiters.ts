import { AsyncLocalStorage } from 'node:async_hooks';

/** Thrown where work would continue although nobody waits for its result any more. */
export class NobodyWaits extends Error {
  override readonly name = 'NobodyWaits';
}

type IsWaitedFor = () => boolean;

const ALWAYS: IsWaitedFor = () => true;

/** The value follows the calls, not their parameters. */
const waiting = new AsyncLocalStorage<IsWaitedFor>();

function current(): IsWaitedFor {
  return waiting.getStore() ?? ALWAYS;
}

/** Runs work for one client. `gone` is aborted when the client has left. */
export function workFor<T>(gone: AbortSignal, work: () => T): T {
  return waiting.run(() => !gone.aborted, work);
}

/** Runs work that continues even if all clients have left. */
export function workForAll<T>(work: () => T): T {
  return waiting.run(ALWAYS, work);
}

/** Throws if nobody waits. It is called between two steps of work, before the next one costs something. */
export function throwIfNobodyWaits(): void {
  if (!current()()) throw new NobodyWaits('nobody waits for the answer any more');
}

/** The callers that wait for the same work. The work continues as long as one of them waits. */
export class Waiters {
  readonly #all: IsWaitedFor[] = [];

  join(): void {
    this.#all.push(current());
  }

  run<T>(work: () => T): T {
    return waiting.run(() => this.#all.some((isWaitedFor) => isWaitedFor()), work);
  }
}
