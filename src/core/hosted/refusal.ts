import type { ErrorName } from '../../registry/error.ts';

/** The reason why a write to a hosted repository is refused. */
export interface HostedRefusal {
  readonly kind: 'refused';
  readonly error: ErrorName;
  /** Replaces the standard message. Clients show it to the people who push. */
  readonly message?: string;
  /** The time to wait in seconds. */
  readonly retryAfter?: number;
}

export function refuseWrite(error: ErrorName, message?: string): HostedRefusal {
  return { kind: 'refused', error, ...(message !== undefined && { message }) };
}

/** Thrown inside a transaction to refuse a write and undo what came before it. */
export class RefusedChange extends Error {
  override readonly name = 'RefusedChange';
  readonly refusal: HostedRefusal;

  constructor(error: ErrorName, message?: string) {
    super(message ?? error);
    this.refusal = refuseWrite(error, message);
  }
}

/** Settles as a change does, or resolves to the refusal that it throws. */
export async function orRefusal<T>(change: Promise<T>): Promise<T | HostedRefusal> {
  try {
    return await change;
  } catch (error) {
    if (error instanceof RefusedChange) return error.refusal;
    throw error;
  }
}
