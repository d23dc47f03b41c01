/** All time-outs and bounds of the supervisor, in milliseconds, with their reasons. */

/** The signs by which a role counts as hanging. */
export const HANGING = {
  /** The time for a role to report that it is ready, or that it failed. */
  ready: 60_000,
  /**
   * The time between two pings. A role that answers none of `unanswered` in a row hangs, even on a busy
   * machine.
   */
  pingEvery: 10_000,
  unanswered: 3,
};

/** The restarts of a role that ended. */
export const RESTARTS = {
  /** The pause before the first restart. Each further one is twice as long, up to the longest. */
  firstPause: 100,
  longestPause: 10_000,
  /** A role that ran for this long did not fail because of its start. */
  stableAfter: 5_000,
};

/** The time for a role to end. It is longer than the gateway takes to drain. */
export const STOP_DEADLINE = 35_000;
