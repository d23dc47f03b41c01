import type { Logger } from '../../platform/log.ts';
import { runPeriodically } from '../../platform/scheduling/periodic-task.ts';

/** Decides whether this process does what one process does for all that share a database. */
export interface HostedDuty {
  /**
   * Resolves to a signal that is aborted when another process takes over; undefined while another one does
   * it.
   */
  take(): Promise<AbortSignal | undefined>;
}

/** A core with a database of its own does everything itself. */
export const SOLE_DUTY: HostedDuty = {
  take: async () => new AbortController().signal,
};

/** Runs a task periodically while this process is on duty. */
export function runOnDuty(
  duty: HostedDuty,
  milliseconds: number,
  task: (signal: AbortSignal) => Promise<unknown>,
  log: Logger,
): AsyncDisposable {
  return runPeriodically(
    milliseconds,
    async (stopping) => {
      const lost = await duty.take();
      if (lost !== undefined) await task(AbortSignal.any([stopping, lost]));
      return undefined;
    },
    log,
  );
}
