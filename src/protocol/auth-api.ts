/**
 * The requests that a gateway sends to auth over auth's socket:
 *
 *     POST /authenticate   a name and a password from an address → the subject
 *     POST /token          the same or nothing, and scopes → a token
 *     GET  /keys           the public keys that verify tokens
 *     GET  /credentials    the credentials that are in force
 *     GET  /policy         the policy that is in force
 *     GET  /gateways       the number of gateways that have the credentials that are in force
 *     GET  /status         whether the policy's files are in force
 *     GET  /metrics        the metrics of auth
 *
 * A refused login is answered by 400 and a `REFUSAL`. 500 means that auth has failed.
 *
 * Keys, credentials and policy are answered by 304 while they are those of `If-None-Match`. With `?wait`, the
 * answer comes only when they have changed, or after `LONGEST_WAIT` (platform/ipc/long-poll-endpoint.ts), or
 * after as many milliseconds as `?wait=` says. `/gateways?wait=` is answered when all gateways have the
 * credentials, or after that many milliseconds.
 */
import { z } from 'zod';

export const LOGIN_PASSWORD = z.strictObject({ username: z.string(), password: z.string() });
export type LoginPassword = Readonly<z.output<typeof LOGIN_PASSWORD>>;

export const AUTHENTICATE = z.strictObject({
  login: LOGIN_PASSWORD,
  /** The client's address, as the gateway determined it. */
  address: z.string(),
  /** True if the login may belong to another registry. Its failure then counts against nobody. */
  isStray: z.boolean(),
});
export type AuthenticateRequest = Readonly<z.output<typeof AUTHENTICATE>>;

/** A subject, and the id of the credential that proved it. The subject is written as policies write it. */
export const SERIALIZED_IDENTITY = z.object({ subject: z.string(), credential: z.string() });
export type SerializedIdentity = Readonly<z.output<typeof SERIALIZED_IDENTITY>>;

export const TOKEN_REQUEST = z.strictObject({
  /** The presented login; null if there is none. */
  login: LOGIN_PASSWORD.nullable(),
  /** A refresh token that was presented instead of a login. */
  refreshToken: z.string().nullable(),
  /** The name of the client that wants a refresh token. */
  offline: z.string().nullable(),
  /**
   * The subject of the client certificate. The gateway has verified it, because auth sees no connection. Null
   * if there is none.
   */
  certificate: SERIALIZED_IDENTITY.nullable(),
  scopes: z.array(z.string()).readonly(),
  /** The client's address, as the gateway determined it. */
  address: z.string(),
});
export type TokenRequest = Readonly<z.output<typeof TOKEN_REQUEST>>;

/**
 * The milliseconds for which a token counts after its promised lifetime, where repositories are hosted: its
 * request may have left just before.
 */
export const TOKEN_GRACE = 60_000;

export const ISSUED_TOKEN = SERIALIZED_IDENTITY.extend({
  token: z.string(),
  /** The lifetime in seconds. */
  expiresIn: z.int(),
  scope: z.string(),
  /** The token with which the client can ask again without the password. */
  refreshToken: z.string().optional(),
});
export type IssuedToken = Readonly<z.output<typeof ISSUED_TOKEN>>;

export const LOGIN_REFUSALS = [
  'BAD_CREDENTIALS',
  'TOO_MANY_LOGINS',
  'UNCONFIRMED_LOGIN',
  'DIRECTORY_UNAVAILABLE',
] as const;
export type LoginRefusal = (typeof LOGIN_REFUSALS)[number];
export const REFUSAL = z.object({
  error: z.enum(LOGIN_REFUSALS),
  /** The message for the client in place of the usual one of the error. */
  message: z.string().optional(),
});
export type Refusal = Readonly<z.output<typeof REFUSAL>>;

export const KEYS = z.object({ keys: z.array(z.looseObject({ kty: z.string() })) });

export const AUTH_STATUS = z.object({
  policy: z.object({
    version: z.string(),
    /** The number of times that its files were refused since the start. */
    refusals: z.int(),
    /** The reason why its files are refused now; null if they are in force. */
    refused: z.array(z.string()).readonly().nullable(),
  }),
  /** The service tokens that end within two weeks. Times are in milliseconds since the epoch. */
  expiringTokens: z.array(z.object({ id: z.string(), owner: z.string(), expiresAt: z.number() })).readonly(),
});
export type AuthStatus = Readonly<z.output<typeof AUTH_STATUS>>;

/** A credential that is in force. */
export const CREDENTIAL = z.object({
  subject: z.string(),
  /**
   * True if `subject` is only a prefix. It belongs to a federation, whose subjects are unknown before they
   * log in.
   */
  isPrefix: z.literal(true).optional(),
  /** The time from which it is not in force any more, in milliseconds since the epoch. */
  until: z.number().optional(),
  /** The restrictions of the credential: canonical patterns, and networks. */
  pull: z.array(z.string()).readonly().optional(),
  push: z.array(z.string()).readonly().optional(),
  from: z.array(z.string()).readonly().optional(),
});
export type Credential = Readonly<z.output<typeof CREDENTIAL>>;

/**
 * The groups of a person of a directory that the policy names, such as `corp/payments`. They do not count
 * from `until` on, in milliseconds since the epoch.
 */
export const PERSON_GROUPS = z.object({
  name: z.string(),
  groups: z.array(z.string()).readonly(),
  until: z.number(),
});
export type PersonGroups = Readonly<z.output<typeof PERSON_GROUPS>>;

/** The credentials that are in force by their ids, and the certificates that are revoked. */
export interface Credentials {
  readonly inForce: Readonly<Record<string, Credential>>;
  /** The SHA-256 of the part that the issuers of client certificates signed, as lower-case hex. */
  readonly revokedCertificates: readonly string[];
  /** The people with such groups; absent if there is no directory. */
  readonly people?: readonly PersonGroups[];
}

/**
 * The number of gateways that have auth's current answer about credentials, and of those that may not have
 * it.
 */
export const GATEWAYS = z.object({ current: z.int(), behind: z.int() });

/** Milliseconds for which a gateway keeps serving by auth's last answer. */
export const LONGEST_SILENCE = 60_000;

/** `Credentials` as they arrive. Each credential is parsed by itself, because there may be ten thousand. */
export const CREDENTIALS = z.object({
  inForce: z.record(z.string(), z.unknown()),
  revokedCertificates: z.array(z.string()).readonly(),
  people: z.array(z.unknown()).readonly().optional(),
});
