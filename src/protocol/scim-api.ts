/**
 * SCIM 2.0 (RFC 7644), by which an identity provider says that somebody has left:
 *
 *     POST /scim    a request of a provider → the answer to it, or 404 if no login has SCIM
 *
 * The gateway hands these requests over with their `Authorization`, and the account page passes them on to
 * auth.
 */
import { z } from 'zod';

/** The name of a login, and what a client addresses, follow this path. */
export const SCIM_PATH = '/account/scim/';

export const SCIM_METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;

export const SCIM_REQUEST = z.strictObject({
  login: z.string().max(100),
  method: z.string().max(20),
  /** The part of the path after the name of the login, such as `/Users/…`. */
  path: z.string().max(2_000),
  query: z.string().max(8 * 1024),
  authorization: z.string().max(2_000),
  body: z.string(),
});
export type ScimRequest = Readonly<z.output<typeof SCIM_REQUEST>>;

/** The body is JSON, or empty. */
export const SCIM_ANSWER = z.object({ status: z.number(), body: z.string() });
export type ScimAnswer = Readonly<z.output<typeof SCIM_ANSWER>>;
