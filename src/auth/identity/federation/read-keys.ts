import type { JSONWebKeySet } from 'jose';
import { z } from 'zod';
import { connectByProxy } from '../../../platform/egress/connect-by-proxy.ts';
import type { EgressOptions } from '../../../platform/egress/proxy-rules.ts';
import { isLoopback } from '../../../platform/network.ts';
import { readBody } from '../../../platform/read-body.ts';
import { Deadline, unlessAborted } from '../../../platform/scheduling/deadline.ts';
import { trusting } from '../../../platform/trusted-authorities.ts';
import { Agent, buildConnector } from '../../../platform/undici.ts';
import { ISSUER_KEYS } from '../../limits.ts';

/** Thrown if the issuer's answer cannot be used. */
export class IssuerTrouble extends Error {
  override readonly name = 'IssuerTrouble';
}

const DISCOVERY = z.object({ issuer: z.string(), jwks_uri: z.string() });
const KEY_SET = z.object({ keys: z.array(z.looseObject({ kty: z.string() })) });

/** Fetches an issuer's public keys within `milliseconds` (OpenID Connect Discovery 1.0, section 4). */
export async function readKeys(
  issuer: string,
  milliseconds: number,
  egress?: EgressOptions,
): Promise<JSONWebKeySet> {
  using deadline = new Deadline(milliseconds);
  const authorities = egress?.authorities;
  const secure = { timeout: milliseconds, ...(authorities && { secureContext: trusting(authorities) }) };
  const connect = connectByProxy({ egress, direct: buildConnector(secure), ...secure });
  const agent = new Agent({ connect });
  try {
    return await readWith((url) => readJson(url, agent, deadline.signal), issuer);
  } finally {
    // The agent is not kept, because an issuer is asked once an hour.
    agent.destroy().catch(() => {});
  }
}

async function readWith(read: (url: string) => Promise<unknown>, issuer: string): Promise<JSONWebKeySet> {
  const discovery = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  const found = DISCOVERY.parse(await read(discovery));
  // Section 4.3 requires this check, because otherwise one issuer could speak for another.
  if (found.issuer !== issuer) throw new IssuerTrouble('it says that it is another issuer');
  if (!mayHoldKeys(found.jwks_uri, issuer)) throw new IssuerTrouble('its keys are not behind https');
  return KEY_SET.parse(await read(found.jwks_uri));
}

/**
 * True if keys may come from this URL. Without TLS they may only come from this machine, for an issuer that
 * is also there without TLS.
 */
function mayHoldKeys(text: string, issuer: string): boolean {
  const url = URL.parse(text);
  if (url?.protocol === 'https:') return true;
  return url?.protocol === 'http:' && isLoopback(url.hostname) && issuer.startsWith('http:');
}

/** Reads JSON. A redirect counts as a failure, because it could lead away from the configured issuer. */
async function readJson(text: string, agent: Agent, signal: AbortSignal): Promise<unknown> {
  const url = new URL(text);
  const headers = { accept: 'application/json', 'accept-encoding': 'identity', 'user-agent': 'hubgate' };
  const path = `${url.pathname}${url.search}`;
  const sent = agent.request({ origin: url.origin, path, method: 'GET', headers, signal });
  const { statusCode: status, body } = await unlessAborted(sent, signal, (late) => late.body.destroy());
  if (status !== 200) {
    body.on('error', () => {}).destroy();
    throw new IssuerTrouble(`it answers with status ${status}`);
  }
  const bytes = await readBody(body, ISSUER_KEYS.maxBody);
  if (bytes === undefined) throw new IssuerTrouble('it says more than 256 KiB');
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    throw new IssuerTrouble('what it says is no JSON');
  }
}
