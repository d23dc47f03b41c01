import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Agent } from 'node:https';
import path from 'node:path';
import { after, test } from 'node:test';
import { serviceRoutes } from '../../src/gateway/routes/service.ts';
import type { TestPair } from '../support/certificates.ts';
import { FakeIssuer } from '../support/fake-issuer.ts';
import { imageOf } from '../support/image.ts';
import { basic } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';
import { everythingShown, type Shown, type Standing } from './support/shown.ts';

const POLICY = `
allow:
  - { pull: library/**, to: [ana, ci, "oidc:github:acme/pay", "cert:node-*"] }
deny:
  - { pull: library/**, to: zoe }
`;

/** The connections of each certificate, because a connection belongs to its certificate. */
const agents = new Map<TestPair, Agent>();
after(() => {
  for (const agent of agents.values()) agent.destroy();
});

const image = imageOf();
const issuer = await FakeIssuer.start();
after(() => issuer[Symbol.asyncDispose]());
const { hub, hubgate } = await withMirror(
  { after },
  {
    policy: POLICY,
    users: ['ana', 'zoe', 'jin', 'ci'],
    configuration: {
      server: { catalog: true },
      federation: { github: { issuer: issuer.url, audience: 'mirror.corp', subject: '${repository}' } },
    },
    images: { 'library/alpine': image },
  },
);
hub.referrersPerPage = 100;
const shown = await everythingShown(hubgate, issuer);

function agentOf(pair: TestPair): Agent {
  const agent = agents.get(pair) ?? new Agent({ keepAlive: true, maxSockets: 1 });
  agents.set(pair, agent);
  return agent;
}

function ask(target: string, headers: Record<string, string>, method = 'GET', pair?: TestPair) {
  return hubgate.send({ path: target, method, headers, ...(pair && { ...pair, agent: agentOf(pair) }) });
}

/** Of each kind of route one target; a kind that the code has and this list has not fails the first test. */
const TARGETS = {
  ping: () => '/v2/',
  manifest: () => '/v2/library/alpine/manifests/latest',
  blob: () => `/v2/library/alpine/blobs/${image.layers[0]}`,
  tags: () => '/v2/library/alpine/tags/list',
  referrers: () => `/v2/library/alpine/referrers/${image.digest}`,
  catalog: () => '/v2/_catalog',
  'mirrored-upload': () => '/v2/library/alpine/blobs/uploads/',
} as const;

type Kind = keyof typeof TARGETS;

/** Beside the distribution API: who asks makes no difference but at the token endpoint. */
const SERVICES = ['/healthz', '/ca.crt', '/.well-known/jwks.json', '/token'];

test('every route of the code is among these', () => {
  const source = readFileSync(path.join(import.meta.dirname, '../../src/registry/route.ts'), 'utf8');
  const union = /export type Route =(.+?);\n\n/s.exec(source)?.[1] ?? '';
  const kinds = [...union.matchAll(/readonly kind: '([\w-]+)'/g)].map(([, kind]) => kind);
  // Nothing is hosted here, so there are no uploads; test/gateway/push.test.ts asks for those.
  const ofHosted = ['uploads', 'upload'];
  assert.deepEqual(kinds.sort(), [...Object.keys(TARGETS), ...ofHosted].sort());
  // Browsers alone ask for these; test/account/hand-over.test.ts does.
  const ofPage = ['/', String.raw`/^\/account(?:\/.*)?$/`];
  const router = serviceRoutes({} as Parameters<typeof serviceRoutes>[0]);
  const paths = new Set(router.stack.map((layer) => String(layer.path)));
  assert.deepEqual([...paths].sort(), [...SERVICES, ...ofPage].sort());
});

const WITHOUT_SCOPE: readonly Kind[] = ['ping', 'catalog'];

/** The status, and what the challenge of a 401 says. */
function expected(kind: Kind, one: Pick<Shown, 'standing' | 'ping'>): [status: number, challenge?: RegExp] {
  const standing: Standing = kind === 'ping' ? (one.ping ?? one.standing) : one.standing;
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

/** Of a method that reads nothing. */
function statusOf(method: string): number {
  return method === 'OPTIONS' ? 204 : 405;
}

async function check(what: string, { headers, pair, ...one }: Shown): Promise<void> {
  for (const [kind, target] of Object.entries(TARGETS) as [Kind, () => string][]) {
    for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
      const isRead = (method === 'GET' || method === 'HEAD') && kind !== 'mirrored-upload';
      const [status, challenge] = isRead ? expected(kind, one) : [statusOf(method)];
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
  for (const [what, { headers, pair, exchange, login = exchange, ...one }] of Object.entries(shown)) {
    const { isGiven = exchange === 200 && one.standing === 'granted' } = one;
    const target = '/token?service=x';
    const scoped = await ask(`${target}&scope=repository:library/alpine:pull`, headers, 'GET', pair);
    assert.equal(scoped.status, exchange, what);
    assert.equal(scoped.headers['www-authenticate'], undefined, what);
    const scope = exchange === 200 ? JSON.parse(scoped.body.toString()).scope : '';
    assert.equal(scope !== '', isGiven, what);
    assert.equal((await ask(target, headers, 'GET', pair)).status, login, what);
  }
});

test('what is public asks nobody who they are, and shows nobody anything else', async () => {
  for (const service of SERVICES.filter((one) => one !== '/token')) {
    // One after the other: auth answers all of them at once in time only on a machine that is quiet.
    const [first, ...others] = Object.entries(shown);
    const bodyOf = async ({ headers, pair }: Shown) =>
      (await ask(service, headers, 'GET', pair)).body.toString();
    const body = await bodyOf(first?.[1] ?? assert.fail());
    for (const [what, one] of others) assert.equal(await bodyOf(one), body, `${what}: ${service}`);
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
