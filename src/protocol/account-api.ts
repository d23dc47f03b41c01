/**
 * The account page asks auth these questions, over auth's socket:
 *
 *     POST /session                  a name and a password from an address → a session
 *     POST /session/show             a session → who it belongs to
 *     POST /session/end              a session → it is over
 *     POST /account/password         a session, the current password and a new one → another session
 *     POST /account/tokens           a session → the tokens of its user
 *     POST /account/tokens/create    a session and the terms of a token → the token
 *     POST /account/tokens/revoke    a session and the id of a token → it is revoked
 *
 * A refusal is answered by 400 and an `ACCOUNT_REFUSAL`. Every request that changes something has the CSRF
 * token of its session. All times are in milliseconds since the epoch.
 */
import { z } from 'zod';

/** The secret id of a session, which a browser keeps in a cookie. */
const SESSION = z.string().max(100);

/** The client's address, as the gateway determined it. */
const ADDRESS = z.string().max(100);

export const NEW_SESSION = z.strictObject({
  kind: z.literal('password'),
  name: z.string(),
  password: z.string(),
  address: ADDRESS,
});

export const CREATED_SESSION = z.object({ session: z.string(), expiresAt: z.number() });
export type CreatedSession = Readonly<z.output<typeof CREATED_SESSION>>;

export const SESSION_REQUEST = z.strictObject({ session: SESSION });

export const SHOWN_SESSION = z.object({
  user: z.string(),
  /** The name of the login that vouches for the user; null if the user is in the users file. */
  login: z.string().nullable(),
  /** The time since which the name is that of the user; null if nobody knows it. */
  namedAt: z.number().nullable(),
  expiresAt: z.number(),
  csrf: z.string(),
  canChangePassword: z.boolean(),
  /** The longest lifetime of a new token, in milliseconds. */
  longestToken: z.number(),
});
export type ShownSession = Readonly<z.output<typeof SHOWN_SESSION>>;

/** The part of each request that changes something. */
export const SESSION_CHANGE = z.strictObject({ session: SESSION, csrf: z.string().max(100) });

export const PASSWORD_CHANGE = SESSION_CHANGE.extend({
  current: z.string(),
  password: z.string(),
  address: ADDRESS,
});

export const OWN_TOKEN = z.object({
  id: z.string(),
  label: z.string().nullable(),
  createdAt: z.number(),
  expiresAt: z.number(),
  pull: z.array(z.string()).readonly().nullable(),
  push: z.array(z.string()).readonly().nullable(),
  from: z.array(z.string()).readonly().nullable(),
  lastUsedAt: z.number().nullable(),
  lastUsedFrom: z.string().nullable(),
});
export type OwnToken = Readonly<z.output<typeof OWN_TOKEN>>;

export const TOKEN_CREATION = SESSION_CHANGE.extend({
  label: z.string(),
  /** The lifetime as a duration such as `90d`. */
  expires: z.string(),
  /** The patterns and networks as somebody wrote them; null if there is no such restriction. */
  pull: z.array(z.string()).readonly().nullable(),
  push: z.array(z.string()).readonly().nullable(),
  from: z.array(z.string()).readonly().nullable(),
});

export const TOKEN_REVOCATION = SESSION_CHANGE.extend({ id: z.string().max(100) });

/**
 * `NO_SESSION`: there is no such session, or it is over. `WRONG`: the user must correct what they wrote, and
 * `reasons` says how. The other refusals need no more words.
 */
export const ACCOUNT_REFUSAL = z.object({
  error: z.enum(['BAD_CREDENTIALS', 'TOO_MANY_LOGINS', 'NO_SESSION', 'BAD_CSRF', 'UNAVAILABLE', 'WRONG']),
  reasons: z.array(z.string()).readonly().optional(),
});
export type AccountRefusal = Readonly<z.output<typeof ACCOUNT_REFUSAL>>;
export const OWN_TOKENS = z.object({ tokens: z.array(OWN_TOKEN).readonly() });

export const CREATED_TOKEN = z.object({ id: z.string(), token: z.string(), expiresAt: z.number() });

/** The answer to a request that was done and has no other result. */
export const DONE = z.object({ done: z.literal(true) });
