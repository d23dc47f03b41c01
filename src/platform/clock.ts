/** Milliseconds since the epoch. Rooms are given one, so that a test can hold time still. */
export type Clock = () => number;

export const systemClock: Clock = () => Date.now();
