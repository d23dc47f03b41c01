/**
 * The device grant (RFC 8628) on auth's socket: a machine without a browser gets a personal token, after
 * somebody has approved it on the account page.
 *
 *     POST /device/begin     the name of a machine, and its address → two codes
 *     POST /device/poll      the device code → the token, or why there is none
 *     POST /device/revoke    a token that was given to a machine → it is revoked
 *     POST /device/show      a session and the user code → the machine that waits
 *     POST /device/decide    the same and the answer → it is recorded
 *
 * A refusal is answered by 400: the first three by a `DEVICE_REFUSAL`, the others by an `ACCOUNT_REFUSAL`.
 */
import { z } from 'zod';
import { SESSION_CHANGE, SESSION_REQUEST } from './account-api.ts';

export const DEVICE_BEGIN = z.strictObject({
  machine: z.string(),
  /** The client's address, as the gateway determined it. */
  address: z.string().max(100),
});

/** The names are those of RFC 8628, section 3.2. Times are in seconds. */
export const DEVICE_CODES = z.object({
  device_code: z.string(),
  user_code: z.string(),
  verification_uri: z.string(),
  expires_in: z.int(),
  interval: z.int(),
});
export type DeviceCodes = Readonly<z.output<typeof DEVICE_CODES>>;

export const DEVICE_POLL = z.strictObject({ device_code: z.string().max(100) });

export const DEVICE_TOKEN = z.object({
  token: z.string(),
  id: z.string(),
  user: z.string(),
  /** The end of the token, in milliseconds since the epoch. */
  expires: z.number(),
});
export type DeviceToken = Readonly<z.output<typeof DEVICE_TOKEN>>;

export const DEVICE_REVOKE = z.strictObject({ token: z.string().max(200) });

/** The errors of RFC 8628, section 3.5, and those of RFC 6749 for a machine that may not wait here. */
export const DEVICE_REFUSAL = z.object({
  error: z.enum([
    'authorization_pending',
    'slow_down',
    'access_denied',
    'expired_token',
    'invalid_request',
    'temporarily_unavailable',
  ]),
  error_description: z.string().optional(),
});
export type DeviceRefusal = Readonly<z.output<typeof DEVICE_REFUSAL>>;

const USER_CODE = z.string().max(100);

export const DEVICE_SHOW = SESSION_REQUEST.extend({ user_code: USER_CODE });

/** The machine that waits, as it and the gateway describe it. */
export const SHOWN_DEVICE = z.object({
  user_code: z.string(),
  machine: z.string(),
  address: z.string(),
  createdAt: z.number(),
  expiresAt: z.number(),
});
export type ShownDevice = Readonly<z.output<typeof SHOWN_DEVICE>>;

export const DEVICE_DECIDE = SESSION_CHANGE.extend({ user_code: USER_CODE, approve: z.boolean() });
