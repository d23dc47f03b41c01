import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { toStored } from '../../src/commands/cert/stored.ts';
import { serviceRoutes } from '../../src/gateway/routes/service.ts';
import { makeAuthority, type TestPair } from '../support/certificates.ts';
import { FakeHub } from '../support/fake-hub.ts';
import { type Claims, FakeIssuer } from '../support/fake-issuer.ts';
import { imageOf, type TestImage } from '../support/image.ts';
import { ACCOUNT } from '../support/test-core.ts';
import { basic, PASSWORD, TestHubgate } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';

/** What somebody shows comes to one of these, wherever they show it. */
type Standing =
  /** Somebody whom the policy grants the repository. */
  | 'granted'
  /** Somebody, and not this. */
  | 'denied'
  /** Nobody, but the network is granted it. */
  | 'network'
  /** Nobody. */
  | 'nobody'
  /** A login that is wrong. */
  | 'wrong login'
  /** A token that is none of ours, or not any more. */
  | 'bad token'
  /** A token of ours, for something else. */
  | 'other scope';

interface Shown {
  readonly standing: Standing;
  readonly headers: Record<string, string>;
  /** A client certificate. */
  readonly pair?: TestPair;
  /** At the token endpoint, with a scope. */
  readonly exchange: 200 | 401;
  /** Without a scope, where that is something else. */
  readonly login?: 200 | 401;
}

const POLICY = `
allow:
  - { pull: library/**, to: [ana, ci, "oidc:github:acme/pay", "cert:node-*"] }
deny:
  - { pull: library/**, to: zoe }
`;

let hub: FakeHub;
let hubgate: TestHubgate;
let issuer: FakeIssuer;
let image: TestImage;
let shown: Record<string, Shown>;

before(async () => {
  hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  image = imageOf();
  hub.push('library/alpine', 'latest', image);
  issuer = await FakeIssuer.start();
  hubgate = await TestHubgate.start(hub, {
    federations: [issuer.federation('github', '${repository}')],
    policy: POLICY,
    users: ['ana', 'zoe', 'jin', 'ci'],
    catalog: true,
  });
  shown = await everythingShown();
});

after(async () => {
  await hubgate[Symbol.asyncDispose]();
  await issuer[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

/** Every way in which a request can say who it is from. */
async function everythingShown(): Promise<Record<string, Shown>> {
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
  const good = await hubgate.giveToken('ci');
  const narrowed = await hubgate.giveToken('ci', { pull: ['docker.io/acme/**'] });
  const revoked = await hubgate.giveToken('ci');
  const ofRevoked = await tokenFor('ci', revoked.text);
  await using state = hubgate.openState();
  await state.removeToken(revoked.id);
  hubgate.ahead = -400_000;
  const expired = await hubgate.token('ana', 'library/alpine');
  hubgate.ahead = 0;
  await waitFor(
    async () => (await ask('/v2/library/alpine/manifests/latest', bearer(ofRevoked))).status === 401,
  );
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
    ...(await federatedLogins()),
    'another scheme': { standing: 'wrong login', headers: { authorization: 'Negotiate abc' }, exchange: 401 },
    'a Basic that is none': {
      standing: 'wrong login',
      headers: { authorization: 'Basic !!!' },
      exchange: 401,
    },
    ...(await certificatesShown()),
  };
}

/** With those that do not count beside nothing else, so that they are nobody. */
async function certificatesShown(): Promise<Record<string, Shown>> {
  const authority = makeAuthority('corporate CA');
  const revoked = authority.issue({ commonName: 'node-7' });
  const file = path.join(hubgate.home, 'ca.crt');
  await writeFile(file, [hubgate.ca, authority.cert].join('\n'));
  await using state = hubgate.openState();
  const good = { headers: {}, pair: await hubgate.issueCertificate('node-7') };
  const askBy = async (pair: TestPair) => (await ask(TARGETS.manifest(), {}, 'GET', pair)).status;
  await waitFor(async () => (await askBy(revoked)) === 200);
  const stored = toStored(new X509Certificate(revoked.cert), 'node-7', Date.now());
  await state.putCertificate({ ...stored, revokedAt: Date.now() });
  await waitFor(async () => (await askBy(revoked)) === 401);
  const none = (pair: TestPair): Shown => ({ standing: 'nobody', headers: {}, pair, exchange: 200 });
  const ended = { commonName: 'node-7', to: new Date(Date.now() - 60_000) };
  return {
    'a certificate': { ...good, standing: 'granted', exchange: 200 },
    'a certificate of a node that may not': {
      ...{ standing: 'denied', headers: {}, exchange: 200, pair: await hubgate.issueCertificate('laptop') },
    },
    'a certificate beside a bad token': {
      ...{
        ...good,
        headers: { authorization: 'Bearer x.y.z' },
        standing: 'granted',
        exchange: 200,
        login: 401,
      },
    },
    'a certificate beside Docker Hub’s password': {
      ...{ ...good, headers: { authorization: basic('acme', 'dckr_pat_x') }, login: 401 },
      ...{ standing: 'granted', exchange: 200 },
    },
    'an expired certificate': none(authority.issue(ended)),
    'a revoked certificate': none(revoked),
    'a server’s certificate': none(authority.issue({ commonName: 'node-7', usage: { serverAuth: true } })),
    'a certificate of another authority': none(makeAuthority('foreign').issue({ commonName: 'node-7' })),
  };
}

async function federatedLogins(): Promise<Record<string, Shown>> {
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

async function tokenFor(user: string, password: string): Promise<string> {
  const { body } = await hubgate.ask('/token?scope=repository:library/alpine:pull', { user, password });
  return JSON.parse(body.toString()).token;
}

function ask(target: string, headers: Record<string, string>, method = 'GET', pair?: TestPair) {
  // A connection is its certificate's: none is shared.
  return hubgate.send({ path: target, method, headers, ...pair, ...(pair && { agent: false }) });
}

/** Of each kind of route one target; a kind that the code has and this list has not fails the first test. */
const TARGETS = {
  ping: () => '/v2/',
  manifest: () => '/v2/library/alpine/manifests/latest',
  blob: () => `/v2/library/alpine/blobs/${image.layers[0]}`,
  tags: () => '/v2/library/alpine/tags/list',
  referrers: () => `/v2/library/alpine/referrers/${image.digest}`,
  catalog: () => '/v2/_catalog',
  upload: () => '/v2/library/alpine/blobs/uploads/',
} as const;

type Kind = keyof typeof TARGETS;

/** Beside the distribution API: who asks makes no difference but at the token endpoint. */
const SERVICES = ['/healthz', '/ca.crt', '/.well-known/jwks.json', '/token'];

test('every route of the code is among these', () => {
  const source = readFileSync(path.join(import.meta.dirname, '../../src/registry/route.ts'), 'utf8');
  const union = /export type Route =(.+?);\n\n/s.exec(source)?.[1] ?? '';
  const kinds = [...union.matchAll(/readonly kind: '(\w+)'/g)].map(([, kind]) => kind);
  assert.deepEqual(kinds.sort(), Object.keys(TARGETS).sort());
  const router = serviceRoutes({} as Parameters<typeof serviceRoutes>[0]);
  assert.deepEqual([...new Set(router.stack.map((layer) => String(layer.path)))].sort(), SERVICES.toSorted());
});

const WITHOUT_SCOPE: readonly Kind[] = ['ping', 'catalog'];

/** The status, and what the challenge of a 401 says. */
function expected(kind: Kind, standing: Standing): [status: number, challenge?: RegExp] {
  const isScoped = !WITHOUT_SCOPE.includes(kind);
  const scope = isScoped ? /scope="repository:library\/alpine:pull"/ : /service="localhost:\d+"/;
  switch (standing) {
    case 'granted':
      return [200];
    case 'other scope':
      return isScoped ? [401, /error="insufficient_scope"/] : [200];
    case 'denied':
      return [isScoped ? 403 : 200];
    case 'network':
      return isScoped ? [200] : [401, scope];
    case 'nobody':
    case 'wrong login':
      return [401, scope];
    case 'bad token':
      return [401, /error="invalid_token"/];
  }
}

async function check(what: string, { standing, headers, pair }: Shown): Promise<void> {
  for (const [kind, target] of Object.entries(TARGETS) as [Kind, () => string][]) {
    for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
      const isRead = (method === 'GET' || method === 'HEAD') && kind !== 'upload';
      const [status, challenge] = isRead ? expected(kind, standing) : [405];
      const answer = await ask(target(), headers, method, pair);
      const where = `${what}: ${method} ${target()}`;
      assert.equal(answer.status, status, where);
      const said = answer.headers['www-authenticate'];
      if (challenge === undefined) assert.equal(said, undefined, where);
      else {
        assert.match(String(said), challenge, where);
        assert.match(String(said), /^Bearer realm="https:\/\/localhost:\d+\/token",/, where);
        assert.doesNotMatch(String(said), /Basic|=""/, where);
      }
    }
  }
}

test('every route, by every method, with everything that can be shown', async () => {
  for (const [what, one] of Object.entries(shown)) await check(what, one);
});

test('the token endpoint, with everything that can be shown, with a scope and without', async () => {
  for (const [what, { headers, pair, exchange, login = exchange, standing }] of Object.entries(shown)) {
    const target = '/token?service=x';
    const scoped = await ask(`${target}&scope=repository:library/alpine:pull`, headers, 'GET', pair);
    assert.equal(scoped.status, exchange, what);
    assert.equal(scoped.headers['www-authenticate'], undefined, what);
    const scope = exchange === 200 ? JSON.parse(scoped.body.toString()).scope : '';
    assert.equal(scope !== '', exchange === 200 && standing === 'granted', what);
    assert.equal((await ask(target, headers, 'GET', pair)).status, login, what);
  }
});

test('what is public asks nobody who they are, and shows nobody anything else', async () => {
  for (const service of SERVICES.filter((one) => one !== '/token')) {
    const bodies = await Promise.all(
      Object.values(shown).map(async ({ headers, pair }) =>
        (await ask(service, headers, 'GET', pair)).body.toString(),
      ),
    );
    assert.equal(new Set(bodies).size, 1, service);
    for (const method of ['POST', 'PUT', 'DELETE'])
      assert.notEqual((await ask(service, {}, method)).status, 200, `${method} ${service}`);
  }
});

test('where a network is granted something, nobody is somebody there; a foreign login with a scope is ignored, and a login is not', async () => {
  await hubgate.setPolicy('allow: [{ pull: library/**, to: anonymous, from: [127.0.0.0/8, "::1"] }]');
  await waitFor(async () => (await ask(TARGETS.manifest(), {})).status === 200);
  await check('nothing, in the network', { standing: 'network', headers: {}, exchange: 200 });
  const foreign = { authorization: basic('acme', 'dckr_pat_x') };
  const scoped = await ask('/token?service=x&scope=repository:library/alpine:pull', foreign);
  assert.equal(JSON.parse(scoped.body.toString()).scope, 'repository:library/alpine:pull');
  assert.equal((await ask('/token?service=x', foreign)).status, 401);
  await hubgate.setPolicy('allow: [{ pull: library/**, to: anonymous, from: 10.0.0.0/8 }]');
  await waitFor(async () => (await ask(TARGETS.manifest(), {})).status === 401);
  await check('nothing, out of the network', { standing: 'nobody', headers: {}, exchange: 200 });
});
