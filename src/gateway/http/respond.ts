import type { IncomingMessage, OutgoingHttpHeader, ServerResponse } from 'node:http';
import { type BearerChallenge, formatChallenge } from '../../registry/challenge.ts';
import { ERRORS, type ErrorName, errorBody } from '../../registry/error.ts';
import { endEarly } from './early-refusal.ts';

/**
 * The only headers that a response of `/v2/` can carry, besides Node's own for the connection and the
 * constant ones of `respond`. All other headers of an upstream or of the core are dropped here.
 */
export type ResponseHeaders = {
  readonly 'accept-ranges'?: 'bytes';
  readonly age?: string;
  readonly allow?: string;
  readonly 'content-length'?: number;
  readonly 'content-range'?: string;
  readonly 'content-type'?: string;
  readonly 'docker-content-digest'?: string;
  readonly 'docker-upload-uuid'?: string;
  readonly etag?: string;
  readonly link?: string;
  readonly location?: string;
  readonly 'oci-filters-applied'?: string;
  readonly 'oci-subject'?: string;
  readonly 'oci-tag'?: string[];
  readonly range?: string;
  readonly 'retry-after'?: string;
  readonly warning?: string;
  readonly 'www-authenticate'?: string;
};

/** The type does not keep out a header that comes with a spread, so its names are also data. */
const PASSED: Readonly<Record<keyof ResponseHeaders, true>> = {
  'accept-ranges': true,
  age: true,
  allow: true,
  'content-length': true,
  'content-range': true,
  'content-type': true,
  'docker-content-digest': true,
  'docker-upload-uuid': true,
  etag: true,
  link: true,
  location: true,
  'oci-filters-applied': true,
  'oci-subject': true,
  'oci-tag': true,
  range: true,
  'retry-after': true,
  warning: true,
  'www-authenticate': true,
};

export interface RefusedResponse {
  readonly error: ErrorName;
  /** Replaces the standard message. */
  readonly message?: string;
  readonly challenge?: BearerChallenge;
  /** The time to wait in seconds. */
  readonly retryAfter?: number;
  /** Additional headers of a 416, a 405 or a stale answer. */
  readonly headers?: Pick<ResponseHeaders, 'age' | 'allow' | 'content-range' | 'warning'>;
}

export function respond(response: ServerResponse, status: number, headers: ResponseHeaders): void {
  // Node reads a list of names and values faster than an object with changing names.
  const sent: OutgoingHttpHeader[] = [...STANDARD];
  for (const [name, value] of Object.entries(headers))
    if (Object.hasOwn(PASSED, name)) sent.push(name, value);
  response.writeHead(status, sent);
}

const STANDARD = [
  // No current client needs the API version, but old ones conclude from its absence that this is a registry
  // of version 1.
  ...['docker-distribution-api-version', 'registry/2.0'],
  ...['x-content-type-options', 'nosniff'],
];

/**
 * The longest time in seconds that a client is asked to wait. Podman waits that long up to 20 times before it
 * shows the message, so a longer time is only in the message.
 */
const LONGEST_RETRY_AFTER = 60;

/**
 * A refusal has the same bytes whatever exists, because it is made only of its name, the policy and the
 * settings.
 */
export function refuse(response: ServerResponse, refused: RefusedResponse): void {
  response.end(beginRefusal(response, refused));
}

/**
 * Refuses a request whose body nobody reads. The connection ends, because a client that has much to send must
 * not go on sending it.
 */
export function refuseUnread(
  request: IncomingMessage,
  response: ServerResponse,
  refused: RefusedResponse,
): void {
  if (!request.complete) response.setHeader('connection', 'close');
  response.write(beginRefusal(response, refused));
  endEarly(request, response);
}

/** Sends the headers, and returns the body. */
function beginRefusal(
  response: ServerResponse,
  { error, message, challenge, retryAfter, headers }: RefusedResponse,
): Buffer {
  const body = Buffer.from(errorBody(error, message));
  respond(response, ERRORS[error].status, {
    'content-type': 'application/json',
    'content-length': body.length,
    ...(challenge && { 'www-authenticate': formatChallenge(challenge) }),
    ...(retryAfter !== undefined &&
      retryAfter <= LONGEST_RETRY_AFTER && { 'retry-after': String(retryAfter) }),
    ...headers,
  });
  return body;
}
