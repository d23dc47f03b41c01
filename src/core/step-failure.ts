/** Explains why a step on the way to a registry failed, and which setting mends that. */
import { errorCode, messageOf } from '../platform/reason.ts';
import type { UpstreamStep } from '../protocol/core-api.ts';
import { CERTIFICATE_TROUBLE } from './upstream/transport-failure.ts';

export type StepName = UpstreamStep['step'];

export function whyFailed(error: unknown): string {
  if (error instanceof Error && error.name === 'DeadlineError') return 'it does not answer in time';
  const code = errorCode(error);
  const certificate = CERTIFICATE_TROUBLE[code ?? ''];
  if (certificate !== undefined) return `${certificate} (${code})`;
  if (NO_TLS.test(`${code} ${messageOf(error)}`)) return NO_TLS_THERE;
  // For a host with several addresses each attempt has its own error.
  const [attempt = error]: unknown[] = error instanceof AggregateError ? error.errors : [];
  const first = messageOf(attempt);
  return code !== undefined && !first.includes(code) ? `${first} (${code})` : first;
}

/** The errors that OpenSSL reports for an answer that is not TLS. */
const NO_TLS = /WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|wrong version number|packet length too long/;
const NO_TLS_THERE = 'what answers there does not speak TLS';

/** The fixes of failures, by the step that failed. */
const FIXES: Readonly<Record<StepName, (host: string) => string>> = {
  proxy: () => 'check egress.proxy and egress.noProxy',
  DNS: (host) =>
    `check the DNS of this machine; if only a proxy reaches that host, set egress.proxy; if it has another name, upstreams.${host}.url`,
  address: (host) =>
    `open the firewall for it; if only a proxy reaches it, set egress.proxy; if it is elsewhere, upstreams.${host}.url`,
  TLS: (host) =>
    `does a firewall let no TLS through? If only a proxy reaches that host, set egress.proxy; if it is elsewhere, upstreams.${host}.url`,
  '/v2/': (host) => `is that the address of a registry? A path belongs into upstreams.${host}.url`,
  challenge: (host) => `check upstreams.${host}.tokenServices`,
  token: (host) =>
    `check the credential of upstreams.${host}: username and passwordFile, or credentialHelper`,
  HEAD: (host) => `is the image there, and may the account of upstreams.${host}.username read it?`,
  GET: (host) => `is the image there, and may the account of upstreams.${host}.username read it?`,
  redirect: () => 'check the firewall and the proxy for that host: blobs come from there',
  'first bytes': () => 'check the firewall and the proxy for the host that sends blobs',
};

/** The fixes for failures of TLS, by the detail that `whyFailed` gives. */
const TLS_FIXES: readonly (readonly [detail: RegExp, fix: (host: string) => string])[] = [
  [
    /not of an authority/,
    (host) =>
      `if the certificate is right, name its authority in upstreams.${host}.ca, or in egress.ca if a proxy inspects TLS`,
  ],
  [/for another name/, (host) => `write a name that its certificate has into upstreams.${host}.url`],
  [/expired|not valid yet/, () => 'have that certificate renewed, or set the clock of this machine'],
  [
    new RegExp(NO_TLS_THERE),
    (host) =>
      `if it is a registry without TLS, write http:// into upstreams.${host}.url, and set upstreams.${host}.insecure`,
  ],
];

/** A setting that the failure names is better than a guess. */
export function fixFor(step: StepName, host: string, detail: string): string {
  const [, ofTls] = TLS_FIXES.find(([pattern]) => pattern.test(detail)) ?? [];
  if (ofTls !== undefined) return ofTls(host);
  const [key] = /upstreams\.[\w.:-]+\.[a-zA-Z]+/.exec(detail) ?? [];
  if (key !== undefined) return `check ${key}`;
  if (/the proxy /.test(detail)) return 'check that proxy, egress.proxy and egress.noProxy';
  return FIXES[step](host);
}
