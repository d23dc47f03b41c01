/** Every wait and every bound of the core that is a matter of judgement, with its reason. Times in milliseconds. */
export interface CoreLimits {
  readonly connect: number;
  /** Until the headers of one answer are there. */
  readonly headers: number;
  /** Between two pieces of a body. */
  readonly bodyIdle: number;
  /** For a token, from the asking to the end of the answer. */
  readonly token: number;
  /** For a whole question: waiting for a connection, connecting, the token, redirects, and the answer if it is small. */
  readonly question: number;
  /** For one whose answer only confirms what is cached: nobody waits longer for what they could have at once. */
  readonly revalidation: number;
  /** How often one fill goes on where it broke off. */
  readonly resumptions: number;
  /** The pause before the first of them; each further one is twice as long. */
  readonly resumeAfter: number;
  /** Failures in a row, within `breakWithin`, after which a host is left alone. A time-out alone is as many. */
  readonly breakAfter: number;
  readonly breakWithin: number;
  /** The pause before a host that is left alone is tried again; each further one is twice as long. */
  readonly probeAfter: number;
  readonly probeAtMost: number;
  /** Between two looks at whether something must go from the cache. */
  readonly sweepEvery: number;
}

export const STANDARD_LIMITS: CoreLimits = {
  connect: 5_000,
  headers: 10_000,
  bodyIdle: 30_000,
  token: 5_000,
  // Well below the 30 s after which containerd gives up on response headers, for a HEAD and the GET that follows it.
  question: 13_000,
  revalidation: 3_000,
  resumptions: 5,
  // 0.25, 0.5, 1, 2 and 4 s: about as long as a client waits for the next byte without a complaint.
  resumeAfter: 250,
  breakAfter: 5,
  breakWithin: 10_000,
  probeAfter: 5_000,
  probeAtMost: 30_000,
  sweepEvery: 60_000,
};
