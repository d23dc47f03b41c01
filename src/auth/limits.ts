/** All time-outs and bounds of auth, with their reasons. */

import type { QueueLimits } from '../platform/scheduling/fair-queue.ts';
import { TOKEN_GRACE } from '../protocol/auth-api.ts';
import type { DelayLimits } from './identity/login-delays.ts';

/** The delays of guesses, and the bounds on those that wait. All times are in milliseconds. */
export const DELAY_LIMITS: DelayLimits = {
  // Somebody who mistypes a password twice is not delayed.
  free: 3,
  first: 250,
  // Together with a hash this is less than the 14 s after which a gateway gives up on a login.
  longest: 8_000,
  forgottenAfter: 15 * 60_000,
  // A flood from more networks forgets the oldest pairs, instead of taking more memory.
  maxCached: 10_000,
  // Each waiting login occupies a connection of a gateway, which other logins need too.
  maxWaiting: 256,
  maxWaitingEach: 4,
};

/** The rules by which the nodes of a cluster report guesses to one another. */
export const SHARED_DELAYS = {
  /**
   * The milliseconds for which attempts are gathered before they are sent. A flood then costs few messages.
   */
  gatheredFor: 100,
  /** The most attempts in one message. PostgreSQL takes 8,000 bytes, and an attempt has 46. */
  perMessage: 150,
  /** The most attempts that wait to be sent. Further ones count on this node only. */
  maxUnsent: 3_000,
};

/**
 * The hashes that are computed, and that wait. They are queued by the client's network: a flood of logins
 * from one network delays only the logins from that network.
 */
export const HASHES: QueueLimits = {
  // A hash occupies one of libuv's four threads and one core. The file system needs the other threads.
  concurrent: 2,
  // With two cores, a flood from one network therefore leaves one core to the others.
  concurrentEach: 1,
  // Each hash takes some 30 ms, so the last one in the queue waits for a second, or for three on a slow
  // machine.
  waiting: 64,
  waitingEach: 32,
};

/** The bounds on the check of a password. All times are in milliseconds. */
export const PASSWORD_CHECK = {
  /** The longest wait for a hash. */
  queued: 5_000,
  /**
   * The time for all the waiting of one login: for its turn after wrong guesses, for the hash, and for a
   * better hash. Gateways give up on a login after 14 s, and a hash takes some 30 ms, or a second on a slow
   * machine.
   */
  total: 12_000,
  /**
   * The time for which a verdict is cached. A pull of ten layers asks for a token repeatedly, and needs only
   * one hash.
   */
  cachedFor: 60_000,
  /** The most verdicts that are cached, so that guesses do not fill the memory. */
  maxCached: 10_000,
};

/** The bounds on the number of characters of a password. */
export const PASSWORD_LENGTH = {
  /**
   * The least for a new one. NIST SP 800-63B requires at least 8. Wrong logins are slowed down, so that 10
   * cannot be guessed over the network.
   */
  least: 10,
  /**
   * This is more than anybody's password has. The limit exists because the cost of a hash grows with the
   * length.
   */
  most: 1024,
};

/**
 * The costs of a bcrypt hash that is accepted. They are bounded, so that a hash does not delay others for
 * seconds: each step doubles the time, and 14 takes about a second.
 */
export const BCRYPT_COST = { least: 4, most: 14 };

/** The most MiB of the file of users. Ten thousand users with a hash each need more than one. */
export const MAX_USERS_MIB = 8;

/** The bounds on federated logins. */
export const FEDERATED_LOGIN = {
  /** The most characters of a JWT: as many as a gateway accepts as a secret. */
  maxLength: 16 * 1024,
  /** The milliseconds for a request to an issuer, with everything that belongs to it. */
  deadline: 5_000,
  /** The milliseconds for which a verdict is cached. A pull presents the same JWT repeatedly. */
  cachedFor: 60_000,
  /** The most verdicts that are cached, so that invented JWTs do not fill the memory. */
  maxCached: 10_000,
  /** The most characters of a claim that becomes part of a subject: as many as a user name may have. */
  maxClaim: 255,
  /**
   * The tolerance in seconds. An issuer's clock may be ahead by this much. Nothing lives longer because of
   * it.
   */
  clockTolerance: 60,
  /** The most seconds since a JWT was issued, however long its issuer lets it live. */
  maxAge: 24 * 60 * 60,
};

/** The bounds on the keys of an issuer. All times are in milliseconds. */
export const ISSUER_KEYS = {
  /** The time after which the keys are requested again, because an issuer may withdraw one. */
  freshFor: 60 * 60_000,
  /** The time for which the keys are used while the issuer cannot be asked. */
  usedFor: 24 * 60 * 60_000,
  /**
   * The pause between two requests. A client that invents key ids cannot cause more frequent requests to an
   * issuer.
   */
  pause: 30_000,
  /** The pause while there are no keys. Nobody of that issuer can log in meanwhile. */
  pauseWithoutKeys: 5_000,
  /**
   * The most logins that wait for the keys. They occupy connections of the gateways, which all other logins
   * need too.
   */
  maxWaiting: 32,
  /** The most bytes of an answer, so that an issuer does not fill the memory. */
  maxBody: 256 * 1024,
};

/** The times of warnings about service tokens that end soon, in milliseconds. */
export const EXPIRY_WARNINGS = {
  /** Within two weeks the operator of the program that uses the token can be found. */
  before: 14 * 24 * 60 * 60_000,
  /** The time between two searches. */
  lookEvery: 60 * 60_000,
  /** The time after which the warning is repeated. */
  remindAfter: 24 * 60 * 60_000,
};

/**
 * The milliseconds between two searches for service tokens whose owner was deleted. The users change seldom,
 * and a token of a deleted owner is not accepted in any case.
 */
export const DELETED_OWNERS_EVERY = 2_000;

/** The waits of the state's file, in milliseconds. */
export const STATE_FILE = {
  /** The longest wait of a writer for another process that writes. */
  busy: 5_000,
  /** The time between two looks for changes of other processes, if the file system reports none. */
  lookEvery: 500,
  /**
   * The delay of the records of uses. Each write is synced, so a write for each use would cost as much as
   * issuing a token.
   */
  writeUsesAfter: 1_000,
  /** The time before a checkpoint is tried again that a reader or a full disk prevented. */
  checkpointAgainAfter: 1_000,
};

/**
 * The most bytes of a request by a gateway. It follows from the bounds that gateways set: a secret of 16 KiB,
 * each character of which may take six in JSON, and 50 scopes of 512.
 */
export const REQUEST_SIZE = 256 * 1024;

/** The bounds on remembered logins, which refresh tokens belong to. */
export const REMEMBERED_LOGINS = {
  /** The most logins of each user. A program that logs in repeatedly replaces its oldest ones. */
  ofUser: 50,
  /** The most characters of the client's name. */
  longestClient: 100,
  /** The milliseconds by which a login may seem to be made in the future, because clocks are set. */
  clockTolerance: 60_000,
};

/**
 * The milliseconds for which the previous signing key is accepted: the sum of the longest lifetime of a
 * token, its grace and the tolerance of clocks.
 */
export const KEY_OVERLAP = 360_000 + TOKEN_GRACE;

/** The bounds on the sessions of the account page. All times are in milliseconds. */
export const SESSIONS = {
  /** A working day. After it, somebody must prove again who they are. */
  lifetime: 8 * 60 * 60_000,
  /** The time without a request after which a session ends, because its browser may be in other hands. */
  idle: 30 * 60_000,
  /**
   * The time after which the next use is recorded. A write for each request would cost more than the request.
   */
  recordUsesAfter: 30_000,
  /** The most sessions of each user. A program that logs in repeatedly ends its oldest ones. */
  ofUser: 20,
};

/** The bounds on personal tokens. */
export const PERSONAL_TOKENS = {
  /** The most tokens of each user. Every gateway has all tokens in its memory. */
  ofUser: 100,
  longestLabel: 100,
  /** The most patterns and networks of a token, each of which is compared at every request. */
  restrictions: 50,
};

/** The bounds on machines that wait for their approval. All times are in milliseconds. */
export const DEVICE_GRANT = {
  /** The time to find a browser and to log in there. */
  lifetime: 10 * 60_000,
  /** The time between two polls of a machine. */
  interval: 5_000,
  longestInterval: 60_000,
  /** The network and the timers of a machine are not exact. */
  intervalTolerance: 1_000,
  /** The most machines that wait. Each is a row, which is read when another one begins to wait. */
  waiting: 500,
  /** The most machines that wait in one network, so that one network does not take the places of all. */
  waitingEach: 20,
  /** The most machines that wait in one /48 of IPv6, which has 65,536 networks. */
  waitingOfSite: 100,
  /**
   * The most wrong codes of a user: with 500 machines, ten guesses find one of them once in five million
   * times.
   */
  guesses: 10,
  guessesForgottenAfter: 10 * 60_000,
  maxGuessers: 10_000,
  /** The lifetime of the token of a machine, if the configuration allows it. */
  tokenLifetime: 90 * 24 * 60 * 60_000,
  /** A machine may seem to wait from some time in the future on, because clocks are set. */
  clockTolerance: 60_000,
};

/** The most changes of passwords at the same time. Each of them computes a hash, besides those of logins. */
export const PASSWORD_CHANGES = 2;

/** The bounds on questions to an LDAP directory. All times are in milliseconds. */
export const LDAP = {
  /** The time for each step of a question. Somebody waits for the login, and gateways give up after 14 s. */
  deadline: 3_000,
  /** The people of one search. Active Directory sends at most 1,000 entries. */
  batch: 100,
  /** The passwords that are checked at a time. Each has two connections of its own. */
  queue: { concurrent: 8, concurrentEach: 2, waiting: 64, waitingEach: 16 },
  /** The longest wait for a place in the queue. */
  queued: 3_000,
};

/** The times after which a directory that fails is left alone, in milliseconds. */
export const DIRECTORY_BREAKER = { failures: 3, pause: 5_000 };

/**
 * The bounds on questions to an identity provider. Times without a unit in their name are in milliseconds.
 */
export const OIDC = {
  deadline: 3_000,
  /** The connections to one provider. */
  concurrent: 8,
  maxBody: 256 * 1024,
  /** The time after which the provider's configuration and the secret of the client are read again. */
  configurationFor: 60 * 60_000,
  /** The time that somebody may take at the provider, with a second factor. */
  pendingFor: 10 * 60_000,
  /** The most logins that are remembered as finished. */
  maxFinished: 10_000,
  longestLogout: 16 * 1024,
  maxLogouts: 10_000,
  /** Seconds. A logout token is sent at once. */
  logoutAge: 300,
  /** Seconds. */
  clockTolerance: 60,
  /** The time for which a logout waits until a question about the same person is answered. */
  logoutPatience: 10_000,
  logoutPause: 50,
};

/** The bounds on what an identity provider sends by SCIM. */
export const SCIM = {
  /** The least characters of its token. They must be many, because no delay slows down guesses. */
  shortestToken: 32,
  /** The most people of one answer. */
  page: 100,
  longestName: 256,
  /** The attempts to change a person whom somebody else changes at the same time. */
  attempts: 3,
};

/** The times and bounds by which people are confirmed by their directories. */
export const CONFIRMATION = {
  /** The part of `confirm` after which the next round begins, so that a round may take the rest. */
  every: 0.75,
  /**
   * The time after which the next round begins if a directory did not answer for everybody, or limits
   * requests.
   */
  againAfter: 60_000,
  /** The part of `confirm` within which nobody is confirmed again. Several nodes share one list of people. */
  notAgainWithin: 0.4,
  /** The people of an identity provider who are confirmed at a time. */
  concurrent: 8,
  /** The confirmations that are written together. */
  together: 2_000,
  /**
   * The people of an identity provider whose new refresh tokens are written together. A crash loses those
   * tokens.
   */
  claimed: 500,
  /** The time after which another node asks about a person, if the node that began to has ended. */
  claimedFor: 60_000,
  /** The longest time for which new refresh tokens are only in memory. */
  writtenWithin: 3_000,
  /** The failures in a row after which a round ends. */
  failures: 3,
  /** A directory that finds none of this many people is not believed. */
  believedAlone: 5,
};
