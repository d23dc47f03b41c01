/**
 * The times of the collection in the soak, in milliseconds. They are days in the product. They are long
 * enough for a push on a busy machine, and short enough for many collections.
 */
export const LEASE = 20_000;
export const UNDO = 20_000;
/** A blob that is found by a HEAD stays for at least half a lease. */
export const FOUND = LEASE / 2;
/** An upload that nobody continues for this time is removed. */
export const IDLE_UPLOAD = 15_000;
/** How long a request whose answer did not come may still have an effect. */
export const IN_DOUBT = 60_000;
