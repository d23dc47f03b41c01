/** Something wrong in a file or a setting that somebody wrote by hand; said so that they can go and mend it. */
export interface Fault {
  /** The file as its reader knows it, or the name of an environment variable. */
  readonly source: string;
  /** Counted from 1, as editors do; absent where the whole file is meant. */
  readonly line?: number;
  readonly column?: number;
  readonly message: string;
}

/** What a reader of hand-written input returns: the value, or everything that is wrong with it at once. */
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

/** Thrown where faulty input leaves nothing to go on with: at a start. */
export class FaultsError extends Error {
  override readonly name = 'FaultsError';
  readonly faults: readonly Fault[];

  constructor(faults: readonly Fault[]) {
    super(faults.map(formatFault).join('\n'));
    this.faults = faults;
  }
}
