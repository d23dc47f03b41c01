/**
 * What a gateway asks auth, over auth's socket:
 *
 *     POST /authenticate   a name and a password, from an address → who that is
 *     POST /token          the same or nobody, and scopes → a token
 *     GET  /keys           the public keys by which tokens are verified
 *     GET  /credentials    the credentials that are in force
 *     GET  /policy         the policy that holds
 *     GET  /gateways       how many gateways hold the credentials that are in force
 *     GET  /status         what became of the policy's files
 *     GET  /metrics        what auth measures
 *
 * A login that is refused is answered by 400 and a `REFUSAL`. 500 says that auth has failed.
 *
 * Keys, credentials and policy are answered by 304 while they are those of `If-None-Match`; with `?wait`, only when they
 * have changed, or after `LONGEST_WAIT` (platform/followed-answer.ts), or after as
 * many milliseconds as `?wait=` says. `/gateways?wait=` is answered when all of them do, or after so many milliseconds.
 */
import { z } from 'zod';

export const LOGIN = z.strictObject({ username: z.string(), password: z.string() });
export type Login = Readonly<z.output<typeof LOGIN>>;

export const AUTHENTICATE = z.strictObject({
  login: LOGIN,
  /** The client's, as the gateway decided it. */
  address: z.string(),
  /** True if the login may belong to another registry. Its failure then counts against nobody. */
  isStray: z.boolean(),
});
export type AuthenticateRequest = Readonly<z.output<typeof AUTHENTICATE>>;

/** Who somebody is, and the id of what proved it. The subject is written as policies write it. */
export const IDENTITY = z.object({ subject: z.string(), credential: z.string() });
export type Identity = Readonly<z.output<typeof IDENTITY>>;

export const TOKEN_REQUEST = z.strictObject({
  /** What was shown; null: nothing. */
  login: LOGIN.nullable(),
  /** A refresh token that was shown in the place of a login. */
  refreshToken: z.string().nullable(),
  /** The client that would like to be given one, as it calls itself. */
  offline: z.string().nullable(),
  /** Whom the client certificate names that the gateway has verified, for auth sees no connection; null: there is none. */
  certificate: IDENTITY.extend({ subject: z.string().startsWith('cert:') }).nullable(),
  scopes: z.array(z.string()).readonly(),
  /** The client's, as the gateway decided it. */
  address: z.string(),
});
export type TokenRequest = Readonly<z.output<typeof TOKEN_REQUEST>>;

export const ISSUED_TOKEN = IDENTITY.extend({
  token: z.string(),
  /** Seconds. */
  expiresIn: z.int(),
  scope: z.string(),
  /** By which the client can ask again without the password. */
  refreshToken: z.string().optional(),
});
export type IssuedToken = Readonly<z.output<typeof ISSUED_TOKEN>>;

export const LOGIN_REFUSALS = ['BAD_CREDENTIALS', 'TOO_MANY_LOGINS'] as const;
export type LoginRefusal = (typeof LOGIN_REFUSALS)[number];
export const REFUSAL = z.object({ error: z.enum(LOGIN_REFUSALS) });

export const KEYS = z.object({ keys: z.array(z.looseObject({ kty: z.string() })) });

export const AUTH_STATUS = z.object({
  policy: z.object({
    version: z.string(),
    /** How often its files were refused since the start. */
    refusals: z.int(),
    /** Why they are refused now; null where they are what holds. */
    refused: z.array(z.string()).readonly().nullable(),
  }),
  /** Service tokens that end within two weeks; times in milliseconds. */
  expiringTokens: z.array(z.object({ id: z.string(), owner: z.string(), expiresAt: z.number() })).readonly(),
});
export type AuthStatus = Readonly<z.output<typeof AUTH_STATUS>>;

/** A credential that is in force. */
export const CREDENTIAL = z.object({
  subject: z.string(),
  /** Is `subject` only what the subject begins with? Of a federation, whose subjects are not known before. */
  isPrefix: z.literal(true).optional(),
  /** Milliseconds; from this time on it is in force no more. */
  until: z.number().optional(),
  /** What it narrows its subject's rights to: canonical patterns, and networks. */
  pull: z.array(z.string()).readonly().optional(),
  from: z.array(z.string()).readonly().optional(),
});
export type Credential = Readonly<z.output<typeof CREDENTIAL>>;

/** What is in force, by its id, and what is not any more although it looks so. */
export interface Credentials {
  readonly inForce: Readonly<Record<string, Credential>>;
  /** SHA-256 of what the issuers of client certificates signed, as lower-case hex. */
  readonly revokedCertificates: readonly string[];
}

/** The gateways that hold auth's current answer about credentials, and those not known to hold it. */
export const GATEWAYS = z.object({ current: z.int(), behind: z.int() });

/** Milliseconds for which a gateway keeps serving by auth's last answer. */
export const LONGEST_SILENCE = 60_000;

/** `Credentials` as they come: each in force is to be read by itself, for there may be ten thousand. */
export const CREDENTIALS = z.object({
  inForce: z.record(z.string(), z.unknown()),
  revokedCertificates: z.array(z.string()).readonly(),
});
