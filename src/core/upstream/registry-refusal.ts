import { exceededBound } from '../../platform/json-bounds.ts';
import { isObject } from '../../platform/object-properties.ts';
import { readBody } from '../../platform/read-body.ts';
import { parseChallenge } from '../../registry/challenge.ts';
import { DOCUMENT_BOUNDS } from '../limits.ts';
import type { UpstreamResponse } from './upstream-response.ts';

/** The most bytes of a refusal. One in a registry's own words is short. */
const MAX_REFUSAL = 64 * 1024;
const JSON_TYPE = /^application\/(?:[a-z0-9.-]{1,100}\+)?json$/;

/**
 * True if a refusal is in a registry's own words: JSON with `errors` (OCI distribution spec, "Error Codes"),
 * for a HEAD only that type, or the challenge of a 401. Firewalls, proxies and CDNs refuse with pages of
 * their own, which say nothing about a repository. The body is read or dropped.
 * @throws if the body breaks off or takes longer than the deadline.
 */
export async function isRefusalOfRegistry(
  response: Pick<UpstreamResponse, 'statusCode' | 'headers' | 'body'>,
  method: 'GET' | 'HEAD',
): Promise<boolean> {
  const body = await readBody(response.body, MAX_REFUSAL);
  if (response.statusCode === 401 && parseChallenge(response.headers['www-authenticate'] ?? '') !== undefined)
    return true;
  if (method === 'HEAD') return JSON_TYPE.test(typeOf(response) ?? '');
  const { errors } = parseObject(body) ?? {};
  return Array.isArray(errors) && errors.length > 0;
}

/**
 * True if a refusal is in a token service's own words. No specification says how it refuses, except that it
 * does not answer with a page for people.
 */
export async function isRefusalOfTokenService(
  response: Pick<UpstreamResponse, 'statusCode' | 'headers' | 'body'>,
): Promise<boolean> {
  const body = await readBody(response.body, MAX_REFUSAL);
  return (
    parseChallenge(response.headers['www-authenticate'] ?? '') !== undefined ||
    parseObject(body) !== undefined
  );
}

/** True if a response is a page for people. */
export function isPage(response: Pick<UpstreamResponse, 'headers'>): boolean {
  return ['text/html', 'application/xhtml+xml'].includes(typeOf(response) ?? '');
}

/**
 * Returns the media type of a response in lower case and without its parameters; undefined if there is none.
 */
export function typeOf({ headers }: Pick<UpstreamResponse, 'headers'>): string | undefined {
  const type = headers['content-type'];
  return typeof type === 'string' ? type.split(';', 1)[0]?.trim().toLowerCase() || undefined : undefined;
}

/** Matches a media type (RFC 9110 §8.3.1). No other part of the header is repeated. */
const MEDIA_TYPE = /^[\w!#$&^.+-]{1,64}\/[\w!#$&^.+-]{1,64}$/;

/** Returns a media type if it may appear in a log. */
export function displayedType(type: string | undefined): string | undefined {
  return type !== undefined && MEDIA_TYPE.test(type) ? type : undefined;
}

function parseObject(body: Buffer | undefined): Record<string, unknown> | undefined {
  if (body === undefined || exceededBound(body, DOCUMENT_BOUNDS) !== undefined) return undefined;
  try {
    const document: unknown = JSON.parse(body.toString('utf8'));
    return isObject(document) && !Array.isArray(document) ? document : undefined;
  } catch {
    return undefined;
  }
}
