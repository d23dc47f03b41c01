import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { afterEach, beforeEach, test } from 'node:test';
import { exportSPKI, importJWK } from 'jose';
import { compileSubjects } from '../../src/access/subject-pattern.ts';
import {
  createFederatedLogin,
  type FederatedLogin,
  type FederatedVerdict,
} from '../../src/auth/identity/federation/federated-login.ts';
import { type Claims, FakeIssuer, type IssuerFault, makeKey } from '../support/fake-issuer.ts';
import { type LoggedLine, testLog } from '../support/test-log.ts';

const HOUR = 60 * 60_000;
const DEADLINE = 1_000;
const MAIN = { repository: 'acme/payments', ref: 'refs/heads/main' };
const SUBJECT = 'oidc:github:acme/payments@refs/heads/main';

let issuer: FakeIssuer;
let login: FederatedLogin;
let ahead: number;
let log: LoggedLine[];

beforeEach(async () => {
  issuer = await FakeIssuer.start();
  ahead = 0;
  log = [];
  login = loginBy('${repository}@${ref}');
});

afterEach(() => issuer[Symbol.asyncDispose]());

function loginBy(subject: string, name = 'github'): FederatedLogin {
  return createFederatedLogin({
    federations: [issuer.federation(name, subject)],
    clock: () => Date.now() + ahead,
    log: testLog(log),
    deadline: DEADLINE,
  });
}

function written(verdict: FederatedVerdict): string {
  return verdict.kind === 'authenticated' && verdict.subject.kind === 'oidc'
    ? `oidc:${verdict.subject.name}`
    : verdict.kind;
}

const asSubject = async (jwt: string) => written(await login(jwt));
const signed = async (claims: Claims = {}) => asSubject(await issuer.sign({ ...MAIN, ...claims }));
const seconds = (from = 0) => Math.floor(Date.now() / 1000) + from;

test('a JWT of a configured issuer is a login: its subject is what the template says, until the JWT ends', async () => {
  const exp = seconds(120);
  const verdict = await login(await issuer.sign({ ...MAIN, exp }));
  assert.equal(written(verdict), SUBJECT);
  assert.ok(verdict.kind === 'authenticated');
  assert.equal(verdict.until, exp * 1000);
  assert.match(verdict.credential, /^oidc_github_[0-9a-f]{8}$/);
  assert.equal(await signed({ aud: ['other', 'mirror.corp'] }), SUBJECT);
  assert.equal(await signed({ nbf: seconds(50), iat: seconds(50) }), SUBJECT);
  assert.equal(await signed({ exp: seconds(5) + 0.5 }), SUBJECT);
});

test('a JWT that was taken while the clock was ahead is nobody once the clock is right', async () => {
  const jwt = await issuer.sign({ ...MAIN, iat: seconds(HOUR / 1000), exp: seconds(2 * (HOUR / 1000)) });
  ahead = HOUR;
  assert.equal(await asSubject(jwt), SUBJECT);
  ahead = 0;
  assert.equal(await asSubject(jwt), 'wrong');
});

test('all kinds of keys that issuers use are taken', async () => {
  for (const alg of ['RS512', 'PS256', 'ES256', 'ES384', 'EdDSA']) {
    await issuer.rotate(alg, alg);
    ahead += 31_000;
    assert.equal(await signed(), SUBJECT, alg);
  }
});

test('a JWT for somebody else, from somebody else or out of its time is nobody', async () => {
  const cases: [what: string, claims: Claims][] = [
    ['another audience', { aud: 'other' }],
    ['an audience that only begins so', { aud: 'mirror.corp.example' }],
    ['no audience', { aud: undefined }],
    ['another issuer', { iss: 'https://other.example' }],
    ['an issuer written otherwise', { iss: `${issuer.url}/` }],
    ['no issuer', { iss: undefined }],
    ['expired just now', { exp: seconds() }],
    ['expired within the tolerance', { exp: seconds(-30) }],
    ['no exp', { exp: undefined }],
    ['no iat', { iat: undefined }],
    ['issued in the future', { iat: seconds(90) }],
    ['not before the future', { nbf: seconds(90) }],
    ['issued more than a day ago', { iat: seconds(-25 * 3600), nbf: undefined }],
  ];
  for (const [what, claims] of cases) assert.equal(await signed(claims), 'wrong', what);
});

test('a JWT is believed by the published keys alone', async () => {
  const forger = await makeKey('k1');
  const payload = { ...MAIN };
  const publicKey = await importJWK(issuer.keys[0] ?? assert.fail(), 'RS256', { extractable: true });
  assert.ok(!(publicKey instanceof Uint8Array));
  const pem = await exportSPKI(publicKey);
  const [, body] = (await issuer.sign(payload)).split('.');
  const encode = (header: object) => Buffer.from(JSON.stringify(header)).toString('base64url');
  const hs256 = `${encode({ alg: 'HS256', typ: 'JWT', kid: 'k1' })}.${body}`;
  const mac = createHmac('sha256', pem).update(hs256).digest('base64url');
  const genuine = await issuer.sign(payload);
  const cases: [what: string, jwt: string][] = [
    ['alg none', `${encode({ alg: 'none' })}.${body}.`],
    ['alg None', `${encode({ alg: 'None', kid: 'k1' })}.${body}.`],
    ['HS256 with the public key', `${hs256}.${mac}`],
    ['a key of the same name', await issuer.sign(payload, {}, forger)],
    ['an embedded key', await issuer.sign(payload, { jwk: forger.jwk, kid: 'forged' }, forger)],
    ['a link to keys', await issuer.sign(payload, { jku: 'http://127.0.0.1:1/', kid: 'forged' }, forger)],
    ['an embedded certificate', await issuer.sign(payload, { x5c: ['MIIB'], kid: 'forged' }, forger)],
    ['a JWT of another kind', await issuer.sign(payload, { typ: 'logout+jwt' })],
    ['no signature', genuine.slice(0, genuine.lastIndexOf('.') + 1)],
    ['nothing', ''],
    ['nonsense', 'a.b.c'],
    [
      'deep nonsense',
      `${encode({ alg: 'RS256' })}.${Buffer.from('['.repeat(8_000)).toString('base64url')}.x`,
    ],
    ['16 KiB and more', await issuer.sign({ ...payload, padding: 'x'.repeat(16 * 1024) })],
  ];
  for (const [what, jwt] of cases) assert.equal(await asSubject(jwt), 'wrong', what);
  for (const typ of [undefined, 'JWT', 'at+jwt', 'application/at+jwt'])
    assert.equal(await asSubject(await issuer.sign(payload, { typ })), SUBJECT, `typ ${typ}`);
});

test('an algorithm that is not expected is refused though the issuer publishes a key for it', async () => {
  const secret = { kty: 'oct', k: Buffer.alloc(32, 1).toString('base64url'), kid: 'shared', alg: 'HS256' };
  issuer.keys.push(secret);
  const es512 = await issuer.rotate('es512', 'ES512');
  const [, body] = (await issuer.sign(MAIN)).split('.');
  const header = Buffer.from(JSON.stringify({ alg: 'HS256', kid: 'shared' })).toString('base64url');
  const mac = createHmac('sha256', Buffer.alloc(32, 1)).update(`${header}.${body}`).digest('base64url');
  assert.equal(await asSubject(`${header}.${body}.${mac}`), 'wrong');
  assert.equal(await asSubject(await issuer.sign(MAIN, {}, es512)), 'wrong');
});

test('a claim that is missing, or unfit to be a part of a name, is a wrong login', async (t) => {
  const unfit = [
    undefined,
    null,
    '',
    ['refs/heads/main'],
    { a: 1 },
    'refs/heads/main\n',
    'a b',
    'a\u0000',
    'a\u00a0b',
    'a\u202eb',
    'a\u200bb',
    '\ud800',
    'x'.repeat(256),
  ];
  for (const ref of unfit) assert.equal(await signed({ ref }), 'wrong', JSON.stringify(ref));
  assert.equal(await signed({ ref: 'x'.repeat(255) }), `oidc:github:acme/payments@${'x'.repeat(255)}`);
  login = loginBy('${run}:${protected}:${größe}');
  assert.equal(await signed({ run: 12, protected: true, größe: 'ß' }), 'oidc:github:12:true:ß');
  Object.defineProperty(Object.prototype, 'polluted', { value: 'x', configurable: true });
  t.after(() => Reflect.deleteProperty(Object.prototype, 'polluted'));
  for (const inherited of ['polluted', 'constructor', '__proto__', 'toString/name']) {
    login = loginBy(`\${${inherited}}`);
    assert.equal(await signed(), 'wrong', inherited);
  }
});

test('a claim is a text, never a pattern, and never more of the template', async () => {
  const matches = compileSubjects({}, {}).compile('oidc:github:acme/payments@refs/heads/main').matches;
  const subjectOf = async (claims: Claims) => {
    const verdict = await login(await issuer.sign({ ...MAIN, ...claims }));
    return verdict.kind === 'authenticated' ? verdict.subject : assert.fail(verdict.kind);
  };
  assert.equal(matches(await subjectOf({})), true);
  for (const claims of [
    { repository: '*' },
    { repository: '**' },
    { repository: 'acme/*' },
    { ref: '**' },
    { ref: 'refs/heads/*' },
    { repository: '${user}' },
    { repository: '${ref}' },
    { ref: 'refs/heads/topic@refs/heads/main' },
  ])
    assert.equal(matches(await subjectOf(claims)), false, JSON.stringify(claims));
  const wild = await subjectOf({ ref: 'refs/heads/*' });
  assert.equal(wild.kind === 'oidc' && wild.name, 'github:acme/payments@refs/heads/*');
});

test('a claim that holds what ends it in the subject is a wrong login, and the log says why', async () => {
  assert.equal(await signed({ ref: 'refs/heads/a@b' }), 'oidc:github:acme/payments@refs/heads/a@b');
  assert.equal(await signed({ repository: 'acme/payments@refs/heads/main' }), 'wrong');
  login = loginBy('${ref}@${repository}');
  assert.equal(await signed(), 'oidc:github:refs/heads/main@acme/payments');
  assert.equal(await signed({ ref: 'refs/heads/topic@acme' }), 'wrong');
  const reasons = log.filter(({ level }) => level === 40).map(({ reason }) => reason);
  assert.deepEqual(reasons, [
    'the claim repository holds "@", which ends it in the subject',
    'the claim ref holds "@", which ends it in the subject',
  ]);
  login = loginBy('${repository}::${ref}');
  assert.equal(await signed({ repository: 'acme:' }), 'wrong');
  assert.equal(await signed({ repository: ':acme' }), 'oidc:github::acme::refs/heads/main');
});

test('a service account of Kubernetes logs in by its projected token', async () => {
  const claims = {
    aud: ['mirror.corp', 'https://kubernetes.default.svc'],
    sub: 'system:serviceaccount:shop:builder',
    'kubernetes.io': { namespace: 'shop', serviceaccount: { name: 'builder', uid: '6a1f' } },
  };
  login = loginBy('${sub}', 'cluster');
  assert.equal(await signed(claims), 'oidc:cluster:system:serviceaccount:shop:builder');
  login = loginBy('${kubernetes.io/namespace}:${kubernetes.io/serviceaccount/name}', 'cluster');
  assert.equal(await signed(claims), 'oidc:cluster:shop:builder');
  assert.equal(await signed({ ...claims, 'kubernetes.io': 'shop' }), 'wrong');
  assert.equal(
    await signed({ ...claims, 'kubernetes.io': undefined, 'kubernetes.io/namespace': 'shop' }),
    'wrong',
  );
});

test('one of several federations is meant by issuer and audience', async () => {
  await using other = await FakeIssuer.start();
  login = createFederatedLogin({
    federations: [
      issuer.federation('main', '${ref}', 'first'),
      issuer.federation('whole', '${repository}', 'second'),
      other.federation('other', '${ref}', 'first'),
    ],
    clock: Date.now,
    log: testLog(log),
  });
  assert.equal(await signed({ aud: 'first' }), 'oidc:main:refs/heads/main');
  assert.equal(await signed({ aud: 'second' }), 'oidc:whole:acme/payments');
  assert.equal(await asSubject(await other.sign({ ...MAIN, aud: 'first' })), 'oidc:other:refs/heads/main');
  // Signed by one issuer in the name of the other.
  assert.equal(await asSubject(await other.sign({ ...MAIN, aud: 'first', iss: issuer.url })), 'wrong');
});

test('a JWT is verified once in a minute, and not beyond its end', async () => {
  const jwt = await issuer.sign({ ...MAIN, exp: seconds(40) });
  const all = await Promise.all(Array.from({ length: 20 }, () => asSubject(jwt)));
  assert.deepEqual(new Set(all), new Set([SUBJECT]));
  assert.equal(issuer.asked.length, 2);
  await issuer.stop();
  const verdict = await login(jwt);
  assert.equal(await login(jwt), verdict);
  ahead = 41_000;
  assert.equal(await asSubject(jwt), 'wrong');
});

test('a key that is not known makes it ask the issuer once in 30 s, whoever makes up names of keys', async () => {
  assert.equal(await signed(), SUBJECT);
  const forger = await makeKey('forged');
  const forged = (kid: string) => issuer.sign(MAIN, { kid }, forger);
  assert.equal(await asSubject(await forged('f0')), 'wrong');
  assert.equal(issuer.asked.length, 2);
  ahead = 30_001;
  await issuer.rotate('k2');
  const jwts = await Promise.all(Array.from({ length: 20 }, (_, index) => forged(`f${index}`)));
  assert.deepEqual(new Set(await Promise.all(jwts.map(asSubject))), new Set(['wrong']));
  assert.equal(await signed(), SUBJECT);
  for (const jwt of jwts) assert.equal(await asSubject(jwt), 'wrong');
  assert.equal(issuer.asked.length, 4);
});

test('a key that was withdrawn counts for an hour at most', async () => {
  const old = await issuer.sign({ ...MAIN, exp: seconds(2 * 3600) });
  assert.equal(await asSubject(old), SUBJECT);
  issuer.keys.length = 0;
  await issuer.rotate('k2');
  // A minute of real time may pass meanwhile on a busy machine.
  ahead = HOUR - 60_000;
  assert.equal(await asSubject(old), SUBJECT);
  ahead = HOUR + 60_001;
  assert.equal(await asSubject(old), 'wrong');
});

test('while the issuer cannot be asked its last keys count, for a day', async () => {
  assert.equal(await signed(), SUBJECT);
  await issuer.stop();
  const later = (hours: number) =>
    signed({ iat: seconds(hours * 3600), nbf: undefined, exp: seconds(90 * 3600) });
  for (const hours of [2, 23]) {
    ahead = hours * HOUR;
    assert.equal(await later(hours), SUBJECT, `${hours} h`);
  }
  ahead = 25 * HOUR;
  assert.equal(await later(25), 'wrong');
  assert.ok(log.some(({ reason }) => reason === 'it does not answer'));
});

test('what an issuer answers wrongly is no key, and five seconds later it is asked again', async () => {
  const faults: [fault: IssuerFault, on: 'discovery' | 'keys', reason: RegExp][] = [
    ['status 500', 'discovery', /status 500/],
    ['status 500', 'keys', /status 500/],
    ['redirect', 'discovery', /status 302/],
    ['redirect', 'keys', /status 302/],
    ['huge', 'discovery', /more than 256 KiB/],
    ['huge', 'keys', /more than 256 KiB/],
    ['no JSON', 'discovery', /no JSON/],
    ['no JSON', 'keys', /no JSON/],
    ['other issuer', 'discovery', /another issuer/],
    ['keys without TLS', 'discovery', /not behind https/],
    ['hang', 'discovery', /does not answer/],
    ['hang', 'keys', /does not answer/],
  ];
  for (const [fault, on, reason] of faults) {
    issuer.heal();
    issuer.plant(fault, on);
    log.length = 0;
    assert.equal(await signed({ [fault]: on }), 'wrong', fault);
    assert.match(String(log.find(({ level }) => level === 40)?.reason), reason, `${fault} ${on}`);
    ahead += 5_001;
  }
  issuer.heal();
  assert.equal(await signed(), SUBJECT);
});

test('invariant 16: an issuer that hangs costs nobody more than the deadline, and few wait for it', async () => {
  issuer.plant('hang');
  await using other = await FakeIssuer.start();
  login = createFederatedLogin({
    federations: [issuer.federation('dead', '${ref}'), other.federation('well', '${ref}')],
    clock: Date.now,
    log: testLog(log),
    deadline: DEADLINE,
  });
  const jwts = await Promise.all(
    Array.from({ length: 100 }, (_, run_id) => issuer.sign({ ...MAIN, run_id })),
  );
  const all = Promise.all(jwts.map(asSubject));
  assert.equal(await asSubject(await other.sign(MAIN)), 'oidc:well:refs/heads/main');
  const verdicts = await all;
  assert.deepEqual([...new Set(verdicts)].sort(), ['busy', 'wrong']);
  assert.equal(verdicts.filter((verdict) => verdict === 'wrong').length, 32);
  // Nobody waits again for what has just not answered.
  issuer.heal();
  assert.equal(await signed(), 'wrong');
  assert.equal(issuer.asked.length, 1);
});

test('old keys are good enough for whoever does not wait for an issuer that hangs', async () => {
  assert.equal(await signed(), SUBJECT);
  ahead = 2 * HOUR;
  issuer.plant('hang');
  const now = seconds(2 * 3600);
  const jwts = await Promise.all(
    Array.from({ length: 40 }, (_, run_id) => issuer.sign({ ...MAIN, run_id, iat: now, exp: now + 600 })),
  );
  assert.deepEqual(new Set(await Promise.all(jwts.map(asSubject))), new Set([SUBJECT]));
  assert.equal(issuer.asked.length, 3);
});

test('what a JWT says is in no line of the log', async () => {
  for (const claims of [
    { aud: 'secret' },
    { aud: 'mirror.corp', exp: 1 },
    { ref: 'a secret' },
    { iss: 'https://secret.example' },
    { nbf: seconds(90) },
  ])
    assert.equal(await signed({ actor: 'secret', ...claims }), 'wrong');
  const jwt = await issuer.sign(MAIN, {}, await makeKey('secret'));
  assert.equal(await asSubject(jwt), 'wrong');
  const text = JSON.stringify(log);
  assert.doesNotMatch(text, /secret|acme|heads/);
  assert.ok(!text.includes(jwt.slice(-20)));
  const refused = log
    .filter(({ federation }) => federation === 'github')
    .map(({ level, reason }) => [level, reason]);
  assert.deepEqual(refused, [
    [20, 'ERR_JWT_CLAIM_VALIDATION_FAILED aud'],
    [20, 'ERR_JWT_EXPIRED exp'],
    [20, 'the claim ref is missing, or cannot be part of a subject'],
    [20, 'ERR_JWT_CLAIM_VALIDATION_FAILED nbf'],
    [20, 'ERR_JWKS_NO_MATCHING_KEY'],
  ]);
});
