import type { Digest } from '../../registry/digest.ts';
import type { HostedSelects, HostedStatements } from './hosted-statements.ts';
import type { HostedStep } from './hosted-step.ts';

/** Thrown if the database of the hosted repositories cannot be read or written. */
export class HostedUnavailable extends Error {
  override readonly name = 'HostedUnavailable';
}

/**
 * The database of the hosted repositories. What it says has no other source, and a change counts only when it
 * survives a power cut.
 */
export interface HostedDatabase {
  /** The reason why the database cannot be used until it is restored; undefined if it can. */
  readonly failure: Error | undefined;

  /**
   * Runs a read, which sees the database as it is at one moment.
   * @throws HostedUnavailable
   */
  read<T>(query: (select: HostedSelects) => HostedStep<T>): Promise<T>;

  /**
   * Runs a change in a transaction, and resolves when its result survives a power cut. No other change comes
   * between its statements. A change that throws has changed nothing. After `HostedUnavailable` alone nobody
   * knows whether it has, so a caller that repeats such a change must expect that it is done already.
   * @throws HostedUnavailable
   */
  change<T>(change: (statements: HostedStatements) => HostedStep<T>): Promise<T>;

  /**
   * Copies the database to a new file, as it is at one moment, while reads and changes go on. Resolves to the
   * digests of the blobs that the copy names.
   * @throws HostedUnavailable
   */
  copyTo(file: string): Promise<readonly Digest[]>;
}
