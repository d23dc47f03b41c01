/** All time-outs and bounds of the account page, with their reasons. All times are in milliseconds. */

/** The most bytes of a form. A gateway accepts no longer one either. */
export const FORM_SIZE = 64 * 1024;

/**
 * The time for an answer of auth. A login waits for its turn after wrong guesses and for a hash, which auth
 * gives up after 12 s.
 */
export const AUTH_DEADLINE = 14_000;

/**
 * The most bytes of a request to auth. A form can be longer than this when it is written as JSON, and auth
 * would end the connection, so that the request would be sent again and again.
 */
export const AUTH_REQUEST_SIZE = 256 * 1024;

/** The bounds on the part of the audit log that a page shows. */
export const ACTIVITY = {
  /**
   * The bytes at the end of the log that are read. It is some 15,000 lines, and takes some tens of
   * milliseconds.
   */
  tail: 4 * 1024 * 1024,
  /** The bytes that are read and searched at a time, so that other pages do not wait. */
  chunk: 256 * 1024,
  /** The most lines of a page. */
  lines: 100,
  /** The most requests that read the log at the same time. */
  concurrent: 2,
  /** The most requests that wait for that. */
  waiting: 16,
};

/** The bounds on what is looked at. Auth accepts no longer texts either. */
export const REQUEST_LENGTHS = {
  ...{ target: 8 * 1024, cookies: 8 * 1024 },
  ...{ csrf: 100, pendingLogin: 4 * 1024, logoutToken: 16 * 1024 },
};
