/** What came of asking an upstream. "No" is believed; "can't" is answered from the cache where that is possible. */
export type Answer<T> = { readonly kind: 'yes'; readonly value: T } | Refused;

export type Refused =
  | {
      readonly kind: 'no';
      readonly reason: 'unauthorized' | 'not-found';
      /** True if no challenge came with it, so that another credential would not help. */
      readonly isForbidden?: true;
    }
  /** The content exists, as a manifest of a type that is not mirrored. */
  | { readonly kind: 'no'; readonly reason: 'unsupported'; readonly mediaType: string }
  | { readonly kind: 'cannot'; readonly trouble: Trouble };

export interface Trouble {
  /**
   * `limited`: 429. `credential`: the upstream refuses the configured one. `unfit`: what it sent cannot be used
   * (too large, of a wrong digest or type). `busy`: too many requests wait for a connection of ours, so it was not asked.
   */
  readonly cause: 'timeout' | 'unreachable' | 'failed' | 'limited' | 'credential' | 'unfit' | 'busy';
  /** For the log: never a URL's query, a header or a body, which can hold secrets. */
  readonly detail: string;
  /** Seconds, where the upstream named them. */
  readonly retryAfter?: number;
  /** Was it said before, and is only repeated? */
  readonly known?: boolean;
  /** The status of an answer that is neither a yes nor a "no" in a registry's own words. */
  readonly status?: number;
}

export function yes<T>(value: T): Answer<T> {
  return { kind: 'yes', value };
}

export function no(reason: 'unauthorized' | 'not-found'): Refused {
  return { kind: 'no', reason };
}

export function cannot(
  cause: Trouble['cause'],
  detail: string,
  retryAfter?: number,
): Refused & { kind: 'cannot' } {
  return { kind: 'cannot', trouble: { cause, detail, ...(retryAfter !== undefined && { retryAfter }) } };
}

/** A status that says neither yes nor no about what was asked for. */
export function answeredBy(
  status: number,
  detail: string,
  retryAfter?: number,
): Refused & { kind: 'cannot' } {
  const { trouble } = cannot(status === 429 ? 'limited' : 'failed', detail, retryAfter);
  return { kind: 'cannot', trouble: { ...trouble, status } };
}
