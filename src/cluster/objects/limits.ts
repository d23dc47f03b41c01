/** The bounds of the requests to an object store. All times are in milliseconds. */
export interface ObjectLimits {
  /** The time-out of opening a connection. */
  readonly connect: number;
  /** The time-out of the head of an answer, and of a pause in what is sent. */
  readonly answer: number;
  /** The same for the end of an upload, because a store may copy all its parts then. */
  readonly stored: number;
  /** The longest pause in a body. A store that is frozen is noticed earlier, see `probe`. */
  readonly idle: number;
  /** The time-out of a probe. Two probes that fail in a row mean that the store is away: 2 s at most. */
  readonly probe: number;
  readonly probeEvery: number;
  /** The pause before a request is repeated. */
  readonly repeatAfter: number;
  /** The most connections, and the most requests that wait for one. */
  readonly connections: number;
  readonly waiting: number;
  /** The size in bytes of the largest object that is sent in one request. */
  readonly single: number;
  /**
   * The size in bytes of a part of a larger one. It is in memory while it is sent. Stores want 5 MiB at
   * least.
   */
  readonly part: number;
  /** The parts that are sent at the same time. */
  readonly partsAtOnce: number;
}

const MIB = 2 ** 20;

export const OBJECT_LIMITS: ObjectLimits = {
  connect: 2_000,
  answer: 10_000,
  stored: 60_000,
  idle: 15_000,
  probe: 750,
  probeEvery: 500,
  repeatAfter: 100,
  connections: 32,
  waiting: 256,
  single: 64 * MIB,
  part: 16 * MIB,
  partsAtOnce: 2,
};

/** The most parts that a store accepts. */
export const MOST_PARTS = 10_000;
