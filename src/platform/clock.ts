/** Returns the milliseconds since the epoch. Modules receive a clock, so that a test can stop the time. */
export type Clock = () => number;

export const systemClock: Clock = () => Date.now();
