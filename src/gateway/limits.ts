/**
 * Every bound of a gateway on what comes from outside, with its reason. How many entries a cache holds is stated beside that
 * cache. Each gateway counts for itself, so a mirror with four workers grants up to four times as much.
 */
import type { QueueLimits } from '../platform/fair-queue.ts';
import { LONGEST_SILENCE } from '../registry/auth-api.ts';
import type { PipelineLimits } from './http/pipeline.ts';

/** What a connection of the public listener may take, in milliseconds. */
export interface ConnectionTimes {
  readonly handshake: number;
  readonly requestHeaders: number;
  /** For a whole request. */
  readonly request: number;
  /** Between two requests. */
  readonly keepAlive: number;
  /** Without a byte that comes or goes while a request is in flight: whoever reads nothing for so long has gone. */
  readonly inactivity: number;
  /** On SIGTERM, for downloads that are under way. */
  readonly drain: number;
  /** Between two looks at the first three. */
  readonly check: number;
}

export interface GatewayLimits {
  /** Requests which a client has sent behind one that is not answered yet, on the same connection. */
  readonly pipeline: PipelineLimits;
  /** Requests in flight, from their headers to the last byte of their response. Above that the answer is 429. */
  readonly inFlight: { readonly ofAddress: number; readonly ofSubject: number };
  readonly times: ConnectionTimes;
  /** Milliseconds for which what auth said last holds while it does not answer. After that nothing is served. */
  readonly authSilence: number;
  /** What auth is asked for clients, by the address that asks, because who that is, auth is still to say. */
  readonly authQuestions: QueueLimits;
  /** What the core is asked for clients, by subject, or by the address of `anonymous`. */
  readonly coreQuestions: QueueLimits;
}

export const GATEWAY_LIMITS: GatewayLimits = {
  pipeline: {
    // No known client of registries pipelines. From so many on, the connection is not read until they are answered.
    pauseAt: 16,
    // A connection is read 64 KiB at a time, which is 2,500 of the shortest requests. More cannot wait after a pause.
    each: 3_000,
    // A waiting request takes some 4 KiB, so these take 24 MiB.
    total: 6_000,
  },
  inFlight: {
    // All machines behind a NAT are one address: 600 runners with three layers each. Of the 10,000 connections of a worker, one
    // hostile address can so keep no more than a fifth busy.
    ofAddress: 2_000,
    // 300 runners that share a service account, with three layers each; a dockerd has ten layers at the most. Each download
    // holds one or two buffers, which are of 32 KiB where there are many. Anonymous requests count by address alone.
    ofSubject: 1_000,
  },
  times: {
    handshake: 10_000,
    requestHeaders: 15_000,
    request: 30_000,
    // Longer than the 120 s for which BuildKit keeps a connection: whoever closes first should be the client.
    keepAlive: 130_000,
    inactivity: 120_000,
    drain: 30_000,
    check: 5_000,
  },
  // A role that hangs is ended after forty seconds, and takes a few to start. What was withdrawn meanwhile counts until then.
  authSilence: LONGEST_SILENCE,
  authQuestions: {
    // Auth holds some 300 back at the most, to hash them and to slow guesses down. All others are answered in milliseconds.
    concurrent: 512,
    // More than auth holds back of one network, so somebody who guesses does not stop everybody behind the same NAT.
    concurrentEach: 128,
    waiting: 2_048,
    // With those above: 600 runners behind a NAT which log in at the same moment. Waiting counts toward the 14 s of a login.
    waitingEach: 512,
  },
  coreQuestions: {
    // Half of the connections to the core. The others are for the fills which are being followed, one each.
    concurrent: 512,
    // Two gateways can keep all 64 connections of the core to an upstream busy with that. An answer that is cached takes a
    // place for milliseconds only.
    concurrentEach: 32,
    waiting: 4_096,
    // 170 machines with three layers each can wait. A subject which asks for thousands of cold tags is told to come back.
    // Waiting counts toward the 28 s of a question.
    waitingEach: 512,
  },
};
