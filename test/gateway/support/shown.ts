import { X509Certificate } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { toStored } from '../../../src/auth/admin/certificates.ts';
import { makeAuthority, type TestPair } from '../../support/certificates.ts';
import type { Claims, FakeIssuer } from '../../support/fake-issuer.ts';
import { basic, PASSWORD, type TestHubgate } from '../../support/test-hubgate.ts';
import { waitFor } from '../../support/wait-for.ts';

/** The result of presented credentials, in whatever way they are presented. */
export type Standing =
  /** The subject may pull the repository by the policy. */
  | 'granted'
  /** There is a subject, but it may not pull this. */
  | 'denied'
  /** There is no subject, but the network may pull it. */
  | 'network'
  /** There is no subject, and no permission. */
  | 'nobody'
  /** The login is wrong. */
  | 'wrong login'
  /** The token is not one of ours, or no longer valid. */
  | 'bad token'
  /** The token is ours, but for something else. */
  | 'other scope';

export interface Shown {
  readonly standing: Standing;
  /** The result at `/v2/` if it differs: a certificate does not count there. */
  readonly ping?: Standing;
  readonly headers: Record<string, string>;
  /** A client certificate. */
  readonly pair?: TestPair;
  /** The status of the token endpoint for a request with a scope. */
  readonly exchange: 200 | 401;
  /** True if the token that is issued there has the scope. It is given only if it differs from `standing`. */
  readonly isGiven?: boolean;
  /** The status without a scope, if it differs. */
  readonly login?: 200 | 401;
}

const MANIFEST = '/v2/library/alpine/manifests/latest';

/** Returns every way in which a request can say who it is from. */
export async function everythingShown(
  hubgate: TestHubgate,
  issuer: FakeIssuer,
): Promise<Record<string, Shown>> {
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
  const good = await hubgate.giveToken('ci');
  const narrowed = await hubgate.giveToken('ci', { pull: ['docker.io/acme/**'] });
  const revoked = await hubgate.giveToken('ci');
  const ofRevoked = await tokenFor(hubgate, 'ci', revoked.text);
  await using state = hubgate.openState();
  await state.removeToken(revoked.id);
  hubgate.ahead = -400_000;
  const expired = await hubgate.token('ana', 'library/alpine');
  hubgate.ahead = 0;
  await waitFor(async () => (await hubgate.ask(MANIFEST, { token: ofRevoked })).status === 401);
  return {
    nothing: { standing: 'nobody', headers: {}, exchange: 200 },
    'an unknown user': {
      standing: 'wrong login',
      headers: { authorization: basic('nobody', 'x') },
      exchange: 401,
    },
    'a wrong password': {
      standing: 'wrong login',
      headers: { authorization: basic('ana', 'x') },
      exchange: 401,
    },
    'a right password': {
      standing: 'granted',
      headers: { authorization: basic('ana', PASSWORD) },
      exchange: 200,
    },
    'a right password of somebody who may not': {
      ...{ standing: 'denied', headers: { authorization: basic('zoe', PASSWORD) }, exchange: 200 },
    },
    'a login with Docker Hub’s password': {
      ...{ standing: 'wrong login', headers: { authorization: basic('acme', 'dckr_pat_x') }, exchange: 401 },
    },
    'a token': {
      standing: 'granted',
      headers: bearer(await hubgate.token('ana', 'library/alpine')),
      exchange: 401,
    },
    'a token without the scope': {
      standing: 'other scope',
      headers: bearer(await hubgate.token('ana')),
      exchange: 401,
    },
    'an expired token': { standing: 'bad token', headers: bearer(expired), exchange: 401 },
    'a token of a revoked credential': { standing: 'bad token', headers: bearer(ofRevoked), exchange: 401 },
    'a token that is none': { standing: 'bad token', headers: bearer('x.y.z'), exchange: 401 },
    'a service token': {
      standing: 'granted',
      headers: { authorization: basic('ci', good.text) },
      exchange: 200,
    },
    'a narrowed service token': {
      ...{ standing: 'denied', headers: { authorization: basic('ci', narrowed.text) }, exchange: 200 },
    },
    'a revoked service token': {
      ...{ standing: 'wrong login', headers: { authorization: basic('ci', revoked.text) }, exchange: 401 },
    },
    'a service token of somebody else': {
      ...{ standing: 'wrong login', headers: { authorization: basic('jin', good.text) }, exchange: 401 },
    },
    ...(await federatedLogins(issuer)),
    'another scheme': { standing: 'wrong login', headers: { authorization: 'Negotiate abc' }, exchange: 401 },
    'a Basic that is none': {
      standing: 'wrong login',
      headers: { authorization: 'Basic !!!' },
      exchange: 401,
    },
    ...(await certificatesShown(hubgate)),
    ...(await shownBesideCertificates(hubgate, { expired, ofRevoked })),
  };
}

/**
 * Returns the presented certificates, including those that count for nothing alone, so that the request has
 * no subject.
 */
async function certificatesShown(hubgate: TestHubgate): Promise<Record<string, Shown>> {
  const authority = makeAuthority('corporate CA');
  const revoked = authority.issue({ commonName: 'node-7' });
  const file = hubgate.paths.ca.certificate;
  await writeFile(file, [hubgate.ca, authority.cert].join('\n'));
  await using state = hubgate.openState();
  const good = { headers: {}, pair: await hubgate.issueCertificate('node-7') };
  const askBy = async (pair: TestPair) =>
    (await hubgate.send({ path: MANIFEST, ...pair, agent: false })).status;
  await waitFor(async () => (await askBy(revoked)) === 200);
  const stored = toStored(new X509Certificate(revoked.cert), 'node-7', Date.now());
  await state.putCertificate({ ...stored, revokedAt: Date.now() });
  await waitFor(async () => (await askBy(revoked)) === 401);
  const none = (pair: TestPair): Shown => ({ standing: 'nobody', headers: {}, pair, exchange: 200 });
  const ended = { commonName: 'node-7', to: new Date(Date.now() - 60_000) };
  return {
    'a certificate': { ...good, standing: 'granted', ping: 'nobody', exchange: 200 },
    'a certificate of a node that may not': {
      ...{ standing: 'denied', headers: {}, exchange: 200, pair: await hubgate.issueCertificate('laptop') },
      ping: 'nobody',
    },
    'an expired certificate': none(authority.issue(ended)),
    'a revoked certificate': none(revoked),
    'a server’s certificate': none(authority.issue({ commonName: 'node-7', usage: { serverAuth: true } })),
    'a certificate of another authority': none(makeAuthority('foreign').issue({ commonName: 'node-7' })),
  };
}

/**
 * Combines credentials with certificates. Our own credentials decide the subject, whatever certificate comes
 * with them; others are ignored.
 */
async function shownBesideCertificates(
  hubgate: TestHubgate,
  { expired, ofRevoked }: { readonly expired: string; readonly ofRevoked: string },
): Promise<Record<string, Shown>> {
  const may = await hubgate.issueCertificate('node-8');
  const mayNot = await hubgate.issueCertificate('laptop-8');
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
  const foreign = (authorization: string, ping: Standing): Shown => ({
    ...{ standing: 'granted', ping, pair: may, headers: { authorization }, exchange: 200, login: 401 },
  });
  const ended = { standing: 'bad token', pair: may, exchange: 200, login: 401, isGiven: true } as const;
  const { body } = await hubgate.ask('/token?scope=repository:library/alpine:pull');
  return {
    'a certificate beside a token that is none': foreign('Bearer x.y.z', 'bad token'),
    'a certificate beside Docker Hub’s password': foreign(basic('acme', 'dckr_pat_x'), 'wrong login'),
    'a certificate beside a password that is not the one here': foreign(basic('ana', 'x'), 'wrong login'),
    'a certificate beside another scheme': foreign('Negotiate abc', 'wrong login'),
    'a certificate beside a right password': {
      ...{ standing: 'granted', pair: mayNot, headers: { authorization: basic('ana', PASSWORD) } },
      exchange: 200,
    },
    'a certificate beside a right password of somebody who may not': {
      ...{ standing: 'denied', pair: may, headers: { authorization: basic('zoe', PASSWORD) } },
      ...{ ping: 'granted', exchange: 200 },
    },
    'a certificate beside a token': {
      ...{ standing: 'granted', pair: mayNot, headers: bearer(await hubgate.token('ana', 'library/alpine')) },
      ...{ exchange: 200, login: 401, isGiven: false },
    },
    'a certificate beside a token without the scope': {
      ...{ standing: 'other scope', pair: may, headers: bearer(await hubgate.token('ana')) },
      ...{ exchange: 200, login: 401, isGiven: true },
    },
    'a certificate beside the token of nobody': {
      ...{ standing: 'granted', pair: may, headers: bearer(JSON.parse(body.toString()).token) },
      ...{ exchange: 200, login: 401 },
    },
    'a certificate beside an expired token': { ...ended, headers: bearer(expired) },
    'a certificate beside a token of a revoked credential': { ...ended, headers: bearer(ofRevoked) },
  };
}

async function federatedLogins(issuer: FakeIssuer): Promise<Record<string, Shown>> {
  const by = (jwt: string) => ({ headers: { authorization: basic('oidc', jwt) } });
  const sign = (claims: Claims = {}) => issuer.sign({ repository: 'acme/pay', ...claims });
  const wrong = async (claims: Claims): Promise<Shown> => ({
    ...{ standing: 'wrong login', exchange: 401, ...by(await sign(claims)) },
  });
  const [, payload] = (await sign()).split('.');
  const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.`;
  return {
    'a federated login': { standing: 'granted', exchange: 200, ...by(await sign()) },
    'a federated login of another project': {
      ...{ standing: 'denied', exchange: 200, ...by(await sign({ repository: 'acme/other' })) },
    },
    'a federated login for another audience': await wrong({ aud: 'other' }),
    'a federated login by another issuer': await wrong({ iss: 'https://other.example' }),
    'an expired federated login': await wrong({ exp: Math.floor(Date.now() / 1000) - 1 }),
    'an unsigned federated login': { standing: 'wrong login', exchange: 401, ...by(unsigned) },
  };
}

async function tokenFor(hubgate: TestHubgate, user: string, password: string): Promise<string> {
  const { body } = await hubgate.ask('/token?scope=repository:library/alpine:pull', { user, password });
  return JSON.parse(body.toString()).token;
}
