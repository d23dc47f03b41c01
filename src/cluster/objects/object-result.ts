/** The result of a request to the object store. */
export type ObjectResult<T> = { readonly kind: 'ok'; readonly value: T } | ObjectStoreUnavailable;

/** The store cannot be used: it does not answer in time, it fails, or it refuses. */
export interface ObjectStoreUnavailable {
  readonly kind: 'unavailable';
  /** A part of a sentence, such as `s3.corp answers 403 AccessDenied`. */
  readonly detail: string;
}

export function stored<T>(value: T): ObjectResult<T> {
  return { kind: 'ok', value };
}

export function storeUnavailable(detail: string): ObjectStoreUnavailable {
  return { kind: 'unavailable', detail };
}
