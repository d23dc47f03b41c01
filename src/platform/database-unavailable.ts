import { reasonOf } from './reason.ts';

/** Thrown if the database of a cluster cannot be reached, does not answer in time, or is not ready. */
export class DatabaseUnavailable extends Error {
  override readonly name = 'DatabaseUnavailable';

  constructor(cause: unknown) {
    super(`the database of the cluster cannot be used: ${reasonOf(cause)}`, { cause });
  }
}
