import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { Clock } from '../../../platform/clock.ts';
import { propertyOf } from '../../../platform/object-properties.ts';
import { isErrno, reasonOf } from '../../../platform/reason.ts';
import { parseUnverifiedToken } from '../../../protocol/unverified-token.ts';
import { pullScope } from '../../../registry/scope.ts';
import { type Finding, unknown, wrong } from '../checks.ts';
import { ask, type ClientLogin, handshake, whyNot } from '../connection.ts';
import type { HostFiles } from './host-files.ts';
import type { ProbedMirror } from './mirror.ts';
import type { PullRoute } from './route.ts';

/** The result of a pull through the mirror on a route, made as the program would make it. */
export interface ProbePull {
  readonly route: PullRoute;
  /** The subject that the mirror sees, if the probe came that far. */
  readonly subject?: string;
  /** The step that ended the probe, and why. */
  readonly stopped?: { readonly at: ProbeStep; readonly finding: Finding };
}

export type ProbeStep = 'trust' | 'client certificate' | 'identity' | 'pull';

export interface ProbePullOptions {
  readonly mirror: ProbedMirror;
  readonly files: HostFiles;
  /** The path and query of the token endpoint, if it is on the mirror itself. */
  readonly tokens: string | undefined;
  readonly clock: Clock;
}

const ACCEPT =
  'application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json';

const DAY = 24 * 60 * 60 * 1000;
/** A certificate that ends within this time is reported. */
const ENDS_SOON = 14 * DAY;

/**
 * Probes a pull through the mirror on a route. No secret is presented to a peer that this host does not
 * trust.
 */
export async function probePull(route: PullRoute, options: ProbePullOptions): Promise<ProbePull> {
  const stop = (at: ProbeStep, finding: Finding): ProbePull => ({ route, stopped: { at, finding } });
  const untrusted = route.isUnverified === true ? undefined : await whyUntrusted(route, options.mirror);
  if (untrusted !== undefined) return stop('trust', untrusted);
  const pair = await readPair(route, options);
  if ('level' in pair) return stop('client certificate', pair);
  // The program itself presents its credentials to an unverified peer, so they are no longer secret.
  const presented: ClientLogin = {
    ...(route.isUnverified !== true && { authorities: route.authorities }),
    ...pair,
  };
  const authorization = route.authorization === undefined ? {} : { authorization: route.authorization };
  const rejected = await whyRejected(route, options.mirror, presented, authorization);
  if (rejected !== undefined) return stop('identity', rejected);
  const token = await fetchToken(options, presented, authorization);
  const subject = token === undefined ? undefined : parseUnverifiedToken(token)?.sub;
  const who = { route, ...(subject !== undefined && { subject }) };
  // Without a credential on the connection, the pull needs a token.
  const isBare = pair.cert === undefined && route.authorization === undefined;
  const bearer = isBare && token !== undefined ? { authorization: `Bearer ${token}` } : authorization;
  const refused = await whyNoPull(who, options.mirror, presented, bearer);
  return { ...who, ...(refused && { stopped: { at: 'pull' as const, finding: refused } }) };
}

async function whyUntrusted({ program, authorities, trustedIn }: PullRoute, mirror: ProbedMirror) {
  try {
    await handshake(mirror, { authorities });
    return undefined;
  } catch (error) {
    if (isErrno(error, 'ERR_TLS_CERT_ALTNAME_INVALID'))
      return wrong(
        `the certificate of ${mirror.origin}`,
        `is not good for ${mirror.host}`,
        'add that name to server.names in hubgate.yaml and start the mirror anew, or use a name that it has',
      );
    const mend = `put the mirror’s ca.crt there: ${trustedIn}; compare its SHA-256 with what hubgate start prints`;
    return wrong(program, `does not trust the certificate of ${mirror.origin} (${whyNot(error)})`, mend);
  }
}

/** Returns nothing if no certificate is configured. */
async function readPair(
  { certificate: pair }: PullRoute,
  { files, clock }: ProbePullOptions,
): Promise<{ readonly cert?: string; readonly key?: string } | Finding> {
  if (pair === undefined) return {};
  const mend = 'issue another one on the server (hubgate cert issue NAME), and put it and its key there';
  const [cert, key] = [await files.text(pair.certificate), await files.text(pair.key)];
  if (cert === undefined || key === undefined)
    return wrong(cert === undefined ? pair.certificate : pair.key, 'is configured, and is not there', mend);
  try {
    const certificate = new X509Certificate(cert);
    if (!certificate.checkPrivateKey(createPrivateKey(key)))
      return wrong(pair.key, `is not the key of ${pair.certificate}`, mend);
    const left = certificate.validToDate.getTime() - clock();
    const end = certificate.validToDate.toISOString();
    if (left <= 0) return wrong(pair.certificate, `has ended at ${end}`, mend);
    if (left <= ENDS_SOON) return wrong(pair.certificate, `ends at ${end}`, mend);
    return { cert, key };
  } catch (error) {
    return wrong(pair.certificate, `or its key cannot be read: ${reasonOf(error)}`, mend);
  }
}

/**
 * Returns why the mirror does not accept the credential; undefined if it does. It answers 401 without a
 * credential, and at `/v2/` also to a certificate alone.
 */
async function whyRejected(
  { program, certificate, authorization, base }: PullRoute,
  mirror: ProbedMirror,
  presented: ClientLogin,
  headers: Readonly<Record<string, string>>,
): Promise<Finding | undefined> {
  const isByCertificate = certificate !== undefined && authorization === undefined;
  const target = isByCertificate ? manifestOf(mirror, base) : '/v2/';
  const { status } = await ask(mirror, { method: 'HEAD', target, headers, ...presented });
  if (status === 200 || (isByCertificate && status !== 401)) return undefined;
  if (status !== 401)
    return wrong(mirror.origin, `answers ${status} to ${program}`, 'look into the log of the mirror');
  if (certificate !== undefined) {
    const mend =
      'on the server, hubgate cert list says whether it was revoked; hubgate cert issue NAME makes another one';
    return wrong(
      certificate.certificate,
      'is not taken by the mirror: revoked, or of another authority',
      mend,
    );
  }
  if (authorization === undefined) return undefined;
  const mend = 'put the base64 of name:password there, of a user or a service token that is in force';
  return wrong(`the header Authorization of ${program}`, 'is not taken by the mirror', mend);
}

/** Returns undefined if the mirror issues no token. */
async function fetchToken(
  { mirror, tokens }: ProbePullOptions,
  presented: ClientLogin,
  headers: Readonly<Record<string, string>>,
): Promise<string | undefined> {
  if (tokens === undefined) return undefined;
  const scope = encodeURIComponent(pullScope(mirror.repository));
  const target = `${tokens}${tokens.includes('?') ? '&' : '?'}scope=${scope}`;
  const { status, body } = await ask(mirror, { method: 'GET', target, headers, ...presented });
  if (status !== 200) return undefined;
  const token = propertyOf(JSON.parse(body), 'token');
  return typeof token === 'string' ? token : undefined;
}

function manifestOf({ repository, tag }: ProbedMirror, base = '/v2'): string {
  return `${base}/${repository}/manifests/${tag}?ns=docker.io`;
}

async function whyNoPull(
  { route, subject = 'anonymous' }: Pick<ProbePull, 'route' | 'subject'>,
  mirror: ProbedMirror,
  presented: ClientLogin,
  headers: Readonly<Record<string, string>>,
): Promise<Finding | undefined> {
  const { repository, tag } = mirror;
  const asked = {
    method: 'HEAD',
    target: manifestOf(mirror, route.base),
    headers: { accept: ACCEPT, ...headers },
    ...presented,
  } as const;
  const { status } = await ask(mirror, asked);
  if (status === 200) return undefined;
  const where = `${route.program}, which is ${subject} to the mirror,`;
  const what = `is answered ${status} for ${repository}:${tag}`;
  if (status !== 401 && status !== 403)
    return wrong(where, what, 'on the server, hubgate doctor and hubgate upstream say more');
  if (subject !== 'anonymous')
    return wrong(where, what, `on the server: hubgate access explain ${subject} ${repository}:${tag}`);
  return route.mayLogIn
    ? unknown(
        where,
        what,
        'it may log in with what a user or a pod has; try a pull, and look at hubgate audit',
      )
    : wrong(
        where,
        what,
        'give it a client certificate (hubgate cert issue), or its network a rule to: anonymous',
      );
}
