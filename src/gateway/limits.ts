/**
 * All bounds of a gateway on input from outside, with the reasons. The bound of a cache's entries is stated
 * beside the cache. Each gateway counts for itself, so a mirror with four workers grants up to four times as
 * much.
 */
import type { QueueLimits } from '../platform/scheduling/fair-queue.ts';
import { LONGEST_SILENCE } from '../protocol/auth-api.ts';
import type { PipelineLimits } from './http/pipeline.ts';

/** Time limits of a connection to the public listener, in milliseconds. */
export interface ConnectionTimes {
  readonly handshake: number;
  /** The time for the PROXY header of a balancer, which comes before the TLS handshake. */
  readonly proxyHeader: number;
  readonly requestHeaders: number;
  /** The time for a whole request. */
  readonly request: number;
  /** The time between two requests. */
  readonly keepAlive: number;
  /**
   * The time without a received or sent byte while a request is in flight. A client that is silent for longer
   * has gone.
   */
  readonly inactivity: number;
  /** The time for running downloads after SIGTERM. */
  readonly drain: number;
  /** The time between two checks of the first three limits. */
  readonly check: number;
}

export interface GatewayLimits {
  /** The requests that a client may send on a connection before an earlier one is answered. */
  readonly pipeline: PipelineLimits;
  /**
   * The requests in flight, from their headers to the last byte of their response. Further requests are
   * answered with 429.
   */
  readonly inFlight: { readonly ofAddress: number; readonly ofSubject: number };
  readonly times: ConnectionTimes;
  /**
   * The milliseconds for which auth’s last answer stays valid while auth is silent. After that nothing is
   * served, not even what anonymous may pull, because the policy comes from auth too and may have changed.
   */
  readonly authSilence: number;
  /**
   * The requests that the gateway sends to auth for clients. They are counted by address, because only auth's
   * answer names the subject.
   */
  readonly authQuestions: QueueLimits;
  /**
   * The requests that the gateway sends to the core for clients. They are counted by subject, or by address
   * for `anonymous`.
   */
  readonly coreQuestions: QueueLimits;
}

export const GATEWAY_LIMITS: GatewayLimits = {
  pipeline: {
    // No known registry client pipelines. With this many waiting requests, the connection is not read until
    // they are answered.
    pauseAt: 16,
    // A connection is read 64 KiB at a time, which is 2,500 of the shortest requests. More cannot be waiting
    // after a pause.
    each: 3_000,
    // A waiting request takes some 4 KiB, so this many take 24 MiB.
    total: 6_000,
  },
  inFlight: {
    // All machines behind a NAT share one address: 600 runners with three layers each. One hostile address
    // can therefore occupy no more than a fifth of a worker's 10,000 connections.
    ofAddress: 2_000,
    // Up to 300 runners share a service account, with three layers each, and a dockerd pulls ten layers at
    // most. Each download holds one or two buffers, of 32 KiB each if there are many. Anonymous requests
    // count by address alone.
    ofSubject: 1_000,
  },
  times: {
    handshake: 10_000,
    // A balancer writes the header with its first packet.
    proxyHeader: 5_000,
    requestHeaders: 15_000,
    request: 30_000,
    // This is longer than the 120 s for which BuildKit keeps a connection, because the client should close
    // first.
    keepAlive: 130_000,
    inactivity: 120_000,
    drain: 30_000,
    check: 5_000,
  },
  // A hanging role is ended after forty seconds and takes a few more to start. Revoked credentials stay valid
  // until then.
  authSilence: LONGEST_SILENCE,
  authQuestions: {
    // Auth delays at most some 300 logins, to hash them and to slow down guesses. It answers all others
    // within milliseconds.
    concurrent: 512,
    // This is more than auth delays for one network, so that somebody who guesses does not block everybody
    // behind the same NAT.
    concurrentEach: 128,
    waiting: 2_048,
    // Together with the running ones these suffice for 600 runners behind a NAT that log in at once. Waiting
    // counts toward the 14 s of a login.
    waitingEach: 512,
  },
  coreQuestions: {
    // Clients' requests get half of the connections to the core. The others are for the progress of fills,
    // which takes one connection each.
    concurrent: 512,
    // Two gateways can thus keep all 64 connections of the core to an upstream busy for one caller. A cached
    // answer occupies a place for milliseconds only.
    concurrentEach: 32,
    waiting: 4_096,
    // 170 machines with three layers each can wait. A subject that asks for thousands of cold tags is told to
    // try again later. Waiting counts toward the 28 s of a request.
    waitingEach: 512,
  },
};
