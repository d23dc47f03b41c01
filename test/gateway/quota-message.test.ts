import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ANONYMOUS, parseWrittenSubject } from '../../src/access/subject.ts';
import type { Authentication } from '../../src/gateway/authentication/authenticate-client.ts';
import { followPolicyLimits } from '../../src/gateway/authorization/policy-limits.ts';
import { peerAddress } from '../../src/gateway/http/client-address.ts';
import { quotaMessage } from '../../src/gateway/routes/quota-message.ts';
import { parseBudgets, parseReserved, type QuotaRefusal } from '../../src/protocol/core-api.ts';
import { DOCKER_HUB, parseUpstreamHost } from '../../src/registry/repository.ts';
import { policyOf } from '../access/support/policy.ts';

const HOUR = 3_600_000;
const NOW = Date.parse('2026-11-29T12:00:00Z');
const UNTIL = Date.parse('2026-11-29T14:19:00.001Z');

const RULES = `
groups: { ci: [ci-app, ci-pay], prod: ["cert:prod-*"] }
limits:
  - { id: ci, to: group:ci, upstream: docker.io, pulls: 60/6h, because: "CI's share; ask #platform" }
  - { id: own, to: ana, upstream: docker.io, pulls: 60/6h }
  - { id: each, to: authenticated, each: true, pulls: 40/90m, bytes: 50GiB/24h }
  - { id: two, to: authenticated, except: group:prod, upstream: [docker.io, ghcr.io], bytes: 1536MiB/7d }
  - { id: lab, to: anonymous, from: 10.40.0.0/16, each: true, pulls: 1/24h }
reserve:
  - { id: prod, upstream: docker.io, keep: 20%, for: group:prod, because: production goes first }
  - { id: pay, upstream: docker.io, keep: 12.5%, for: ci-pay }`;

const POLICY = policyOf(RULES);
const limits = followPolicyLimits({ current: POLICY, [Symbol.dispose]: () => {} }, () => []);

function authenticationOf(who: string): Authentication {
  const subject = parseWrittenSubject(who) ?? assert.fail(who);
  return { kind: 'authenticated', subject, credential: 'one' };
}

const NOBODY: Authentication = { kind: 'anonymous', subject: ANONYMOUS };

function message(refusal: QuotaRefusal, who: Authentication | string, now = NOW): string {
  const authentication = typeof who === 'string' ? authenticationOf(who) : who;
  return quotaMessage(refusal, { authentication, upstream: DOCKER_HUB, limits, now });
}

function limitRefusal(id: string, more: Partial<QuotaRefusal> = {}): QuotaRefusal {
  return { kind: 'limit', id, unit: 'pulls', used: 60, max: 60, windowMs: 6 * HOUR, untilMs: UNTIL, ...more };
}

test('a refusal by a limit says who, how much, which limit, until when and why', () => {
  assert.equal(
    message(limitRefusal('ci'), 'ci-app'),
    "ci-app shares 60 docker.io pulls of 6 h with others, and they are used up (limit ci); more from 14:20 UTC. CI's share; ask #platform",
  );
  assert.equal(
    message(limitRefusal('own'), 'ana'),
    'ana has used its 60 docker.io pulls of 6 h (limit own); more from 14:20 UTC',
  );
  assert.equal(
    message(limitRefusal('each', { max: 40, windowMs: 1.5 * HOUR }), 'cert:node-7'),
    'cert:node-7 has used its 40 pulls of 90 min (limit each); more from 14:20 UTC',
  );
  assert.equal(
    message(limitRefusal('each', { unit: 'bytes', max: 50 * 2 ** 30, windowMs: 24 * HOUR }), 'ana'),
    'ana has used its 50 GiB of downloads of 24 h (limit each); more from 14:20 UTC',
  );
  assert.equal(
    message(limitRefusal('two', { unit: 'bytes', max: 1.5 * 2 ** 30, windowMs: 168 * HOUR }), 'ana'),
    'ana shares 1.5 GiB of downloads of 7 days with others, and they are used up (limit two); more from 14:20 UTC',
  );
});

test('a bound of the mirror itself has no name', () => {
  const { id: _, ...bound } = limitRefusal('', { unit: 'bytes', max: 4 * 2 ** 40, windowMs: 24 * HOUR });
  assert.equal(message(bound, 'ana'), 'ana has used its 4 TiB of downloads of 24 h; more from 14:20 UTC');
});

test('an anonymous client is shown nobody’s name', () => {
  for (const authentication of [NOBODY, authenticationOf('anonymous')])
    assert.equal(
      message(limitRefusal('lab', { max: 1, windowMs: 24 * HOUR }), authentication),
      'this address has used its 1 pull of 24 h (limit lab); more from 14:20 UTC',
    );
});

test('a time on another day is shown with its day, and never before it has come', () => {
  const until = (untilMs: number) =>
    /more from (.*)$/.exec(message(limitRefusal('own', { untilMs }), 'ana'))?.[1];
  assert.equal(until(Date.parse('2026-11-29T23:59:00Z')), '23:59 UTC');
  assert.equal(until(Date.parse('2026-11-29T23:59:00.001Z')), '2026-11-30 00:00 UTC');
});

test('a refusal by a limit that an edit has removed says what is known', () => {
  assert.equal(
    message(limitRefusal('gone'), 'ana'),
    'ana has used its 60 pulls of 6 h (limit gone); more from 14:20 UTC',
  );
});

test('the share, a reserve and the upstream itself say what they keep and until when', () => {
  const refusal = (kind: QuotaRefusal['kind'], more: Partial<QuotaRefusal> = {}): QuotaRefusal => {
    return { kind, unit: 'pulls', untilMs: UNTIL, ...more };
  };
  assert.equal(
    message(refusal('share', { used: 34, max: 34, windowMs: 6 * HOUR }), 'ana'),
    'ana has used its fair share of the quota of docker.io, 34 pulls of 6 h, and others want the rest; more from 14:20 UTC',
  );
  assert.equal(
    message(refusal('reserve', { id: 'prod' }), 'ana'),
    'the rest of the quota of docker.io is kept for others (reserve prod); more from 14:20 UTC. production goes first',
  );
  assert.equal(
    message(refusal('upstream'), 'ana'),
    'docker.io limits the pulls of this mirror, and the mirror has no copy; more from 14:20 UTC',
  );
  assert.equal(
    message({ kind: 'upstream', unit: 'pulls' }, 'ana'),
    'docker.io limits the pulls of this mirror, and the mirror has no copy',
  );
});

function spending(
  who: Authentication | string,
  remoteAddress = '192.0.2.1',
  host: string = DOCKER_HUB,
  of = limits,
) {
  const authentication = typeof who === 'string' ? authenticationOf(who) : who;
  const upstream = parseUpstreamHost(host) ?? assert.fail(host);
  const { budgets = '', reserved = '' } = of.headersFor({
    authentication,
    upstream,
    address: peerAddress({ remoteAddress }),
  });
  return { budgets: parseBudgets(budgets) ?? assert.fail(budgets), reserved: parseReserved(reserved) };
}

function keyOf(limit: string, ...client: Parameters<typeof spending>): string {
  return spending(...client).budgets.find((budget) => budget.limit === limit)?.key ?? '';
}

test('the core is told the limits that apply, and the share that is kept for others', () => {
  const { budgets, reserved } = spending('ci-app');
  assert.deepEqual(
    budgets.map(({ key: _, ...budget }) => budget),
    [
      { limit: 'ci', pulls: { max: 60, windowMs: 6 * HOUR } },
      {
        limit: 'each',
        pulls: { max: 40, windowMs: 1.5 * HOUR },
        bytes: { max: 50 * 2 ** 30, windowMs: 24 * HOUR },
      },
      { limit: 'two', bytes: { max: 1.5 * 2 ** 30, windowMs: 168 * HOUR } },
    ],
  );
  assert.deepEqual(reserved, { share: 0.325, ids: ['prod', 'pay'] });
  assert.deepEqual(spending('ci-pay').reserved, { share: 0.2, ids: ['prod'] });
  assert.deepEqual(spending('ana', '192.0.2.1', 'quay.io').reserved, { share: 0, ids: [] });
});

test('a shared limit has one budget, and a limit for each has one for each subject, which names nobody', () => {
  assert.equal(keyOf('ci', 'ci-app'), keyOf('ci', 'ci-pay'));
  assert.equal(keyOf('each', 'ana'), keyOf('each', 'ana', '198.51.100.7'));
  assert.notEqual(keyOf('each', 'ana'), keyOf('each', 'ci-app'));
  assert.doesNotMatch(keyOf('each', 'ci-app'), /ci-app/);
  for (const nobody of [NOBODY, authenticationOf('anonymous')]) {
    assert.equal(keyOf('lab', nobody, '10.40.0.1'), keyOf('lab', NOBODY, '10.40.0.1'));
    assert.notEqual(keyOf('lab', nobody, '10.40.0.1'), keyOf('lab', nobody, '10.40.0.2'));
    assert.equal(keyOf('lab', nobody, '10.41.0.1'), '');
  }
});

test('a share of several reserves is never more than all', () => {
  const reserves = [0.1, 0.2, 0.7].map(
    (keep, index) => `  - { id: r${index}, upstream: docker.io, keep: ${keep * 100}%, for: zoe }`,
  );
  const policy = policyOf(`reserve:\n${reserves.join('\n')}`);
  const all = followPolicyLimits({ current: policy, [Symbol.dispose]: () => {} }, () => []);
  assert.equal(spending('ana', '192.0.2.1', DOCKER_HUB, all).reserved?.share, 1);
});

test('an edit counts at once, and a policy without limits says nothing', () => {
  const subscription = {
    current: policyOf('limits: [{ id: a, to: ana, pulls: 1/1h }]'),
    [Symbol.dispose]: () => {},
  };
  const live = followPolicyLimits(subscription, () => []);
  const max = () => spending('ana', '192.0.2.1', DOCKER_HUB, live).budgets[0]?.pulls?.max;
  assert.equal(max(), 1);
  assert.equal(max(), 1);
  subscription.current = policyOf('limits: [{ id: a, to: ana, pulls: 2/1h }]');
  assert.equal(max(), 2);
  subscription.current = policyOf('allow: [{ pull: everything, to: ana }]');
  const client = {
    authentication: authenticationOf('ana'),
    upstream: DOCKER_HUB,
    address: peerAddress({ remoteAddress: undefined }),
  };
  assert.deepEqual(live.headersFor(client), {});
});
