/** A mistake in a hand-written file or setting, reported so that its author can find and correct it. */
export interface Fault {
  /** The file as its reader knows it, or the name of an environment variable. */
  readonly source: string;
  /** Counted from 1, as editors do; absent if the whole file is meant. */
  readonly line?: number;
  readonly column?: number;
  readonly message: string;
}

/** The result of reading hand-written input: the value, or everything that is wrong with it at once. */
export type Parsed<T> =
  | { readonly value: T; readonly warnings?: readonly Fault[] }
  | { readonly faults: readonly Fault[] };

export function formatFault({ source, line, column, message }: Fault): string {
  return `${[source, line, column].filter((part) => part !== undefined).join(':')}: ${message}`;
}

export function byPosition(a: Fault, b: Fault): number {
  return (
    a.source.localeCompare(b.source) || (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0)
  );
}

/** Thrown at a start if the input has faults and there is nothing else to use. */
export class FaultsError extends Error {
  override readonly name = 'FaultsError';
  readonly faults: readonly Fault[];

  constructor(faults: readonly Fault[]) {
    super(faults.map(formatFault).join('\n'));
    this.faults = faults;
  }
}
