import { EventEmitter } from 'node:events';

/** What a tag means, or whether a blob or manifest exists; null if it does not. */
export type PushedValue = string | null;

interface Log {
  readonly values: PushedValue[];
  /** The index of the last value that the core has acknowledged. */
  acknowledged: number;
}

/** The values that a thing may have after a crash. */
export type AllowedValues = ReadonlyMap<string, readonly PushedValue[]>;

/**
 * What clients have asked for and what the core has acknowledged, for each tag, blob and manifest. After a
 * crash a thing may have the last acknowledged value, or one that was asked for after it, and no other.
 */
export class PushedState extends EventEmitter<{ promised: []; filled: [] }> {
  readonly #logs = new Map<string, Log>();

  /** Records a request, and returns the function that records its acknowledgement. */
  ask(changes: ReadonlyMap<string, PushedValue>): () => void {
    const asked = [...changes].map(([key, value]) => {
      const log = this.#log(key);
      log.values.push(value);
      return { log, index: log.values.length - 1 };
    });
    return () => {
      for (const { log, index } of asked) log.acknowledged = Math.max(log.acknowledged, index);
      this.emit('promised');
    };
  }

  /** Returns the value that was asked for last. */
  last(key: string): PushedValue {
    return this.#logs.get(key)?.values.at(-1) ?? null;
  }

  get keys(): Iterable<string> {
    return this.#logs.keys();
  }

  /** Returns a function that returns what is allowed at a crash between this call and that one. */
  snapshot(): () => AllowedValues {
    const acknowledged = new Map([...this.#logs].map(([key, log]) => [key, log.acknowledged]));
    return () =>
      new Map([...this.#logs].map(([key, { values }]) => [key, values.slice(acknowledged.get(key) ?? 0)]));
  }

  /** After a crash, what was found counts from then on. */
  settle(found: ReadonlyMap<string, PushedValue>): void {
    for (const [key, value] of found) this.#logs.set(key, { values: [value], acknowledged: 0 });
  }

  #log(key: string): Log {
    const log = this.#logs.get(key) ?? { values: [null], acknowledged: 0 };
    this.#logs.set(key, log);
    return log;
  }
}
