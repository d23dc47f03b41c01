import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { tokenCredential } from '../../src/auth/identity/service-token.ts';
import { showAudit } from '../../src/commands/audit.ts';
import { run, withoutPadding } from './support/terminal.ts';

const AT = new Date(Date.now() - 3_600_000).toISOString();
const BEFORE = new Date(Date.now() - 48 * 3_600_000).toISOString();
const DIGEST = `sha256:${'a'.repeat(64)}`;

const common = { level: 30, time: AT, action: 'pull', address: '10.1.1.1', method: 'GET', milliseconds: 1 };
const LINES = [
  {
    ...common,
    time: BEFORE,
    subject: 'user:old',
    repository: 'docker.io/library/nginx',
    decision: 'allow',
    status: 200,
  },
  {
    ...common,
    subject: 'user:ana',
    repository: 'docker.io/library/nginx',
    tag: '1.29',
    digest: DIGEST,
    rule: 'base',
    decision: 'allow',
    status: 200,
    bytes: 528,
    cache: 'hit',
  },
  {
    ...common,
    subject: 'cert:node-7',
    repository: 'docker.io/library/nginx',
    tag: 'latest',
    rule: 'pinned',
    decision: 'deny',
    status: 403,
  },
  {
    ...common,
    subject: 'user:ana',
    repository: 'docker.io/acme/pay',
    digest: DIGEST,
    rule: 'pay',
    decision: 'allow',
    status: 200,
    bytes: 9,
    cache: 'fill',
  },
  { ...common, action: 'token', subject: 'anonymous', decision: 'deny', status: 401 },
];

const HEADING = 'TIME  DECISION  STATUS  SUBJECT  FROM  ACTION  IMAGE  DETAILS';

let home: string;

beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'hubgate-audit-'));
  await mkdir(path.join(home, 'state'));
  const text = LINES.map((line) => JSON.stringify(line)).join('\n');
  await writeFile(path.join(home, 'state/audit.log'), `${text}\n{"time":"cut by a crash`);
});

afterEach(() => rm(home, { recursive: true }));

const audit = (options: object = {}) =>
  run((terminal) =>
    showAudit({ home, json: false, since: '24h', denied: false, requests: false, ...options }, {}, terminal),
  );

test('the record is read line by line, and what is wanted of it is printed', async () => {
  const all = await audit();
  assert.equal(
    withoutPadding(all.stdout),
    [
      HEADING,
      `${AT}  allow  200  user:ana  10.1.1.1  pull  docker.io/library/nginx:1.29  rule base  hit  528 bytes  1 ms`,
      `${AT}  deny  403  cert:node-7  10.1.1.1  pull  docker.io/library/nginx:latest  rule pinned  1 ms`,
      `${AT}  allow  200  user:ana  10.1.1.1  pull  docker.io/acme/pay@${DIGEST}  rule pay  fill  9 bytes  1 ms`,
      `${AT}  deny  401  anonymous  10.1.1.1  token  -  1 ms`,
      '',
    ].join('\n'),
  );
  const count = async (options: object) => (await audit(options)).stdout.split('\n').length - 2;
  assert.equal(await count({ subject: 'ana' }), 2);
  assert.equal(await count({ subject: 'cert:node-7' }), 1);
  assert.equal(await count({ repository: 'nginx' }), 2);
  assert.equal(await count({ repository: 'nginx:1.29' }), 1);
  assert.equal(await count({ denied: true }), 2);
  assert.equal(await count({ since: '3d' }), 5);
  assert.deepEqual(JSON.parse((await audit({ json: true, repository: 'nginx:latest' })).stdout), LINES[2]);
});

test('what a quota did is printed, once for all requests of a pull', async () => {
  const nginx = { ...LINES[1], account: 'pay', pull: 'p1' };
  const lines = [
    { ...nginx, held: 'limit:ci', cache: 'stale' },
    { ...nginx, tag: undefined, status: 429, limit: 'ci', bytes: 0 },
    { ...nginx, tag: undefined, status: 429, limit: 'ci', bytes: 0 },
    { ...LINES[3], status: 429, limit: 'share', bytes: 0, cache: undefined },
  ];
  await writeFile(
    path.join(home, 'state/audit.log'),
    lines.map((line) => `${JSON.stringify(line)}\n`).join(''),
  );
  const [, first = '', second = ''] = withoutPadding((await audit()).stdout).split('\n');
  assert.match(
    first,
    /stale\+hit {2}528 bytes {2}3 requests {2}account pay {2}held by limit:ci {2}refused by ci {2}/,
  );
  assert.match(second, / {2}429 {2}.* {2}0 bytes {2}refused by share {2}/);
});

test('lines that stand for others are printed as what they are', async () => {
  const omitted = { level: 30, time: AT, action: 'omitted', subject: 'anonymous', decision: 'deny' };
  const counted = [
    { ...omitted, address: '10.1.1.1', count: 1890, since: AT },
    { ...omitted, count: 3, since: AT },
    { level: 30, time: AT, action: 'lost', count: 12, since: AT },
  ];
  const texts = [...counted, LINES[1]].map((line) => JSON.stringify(line));
  await writeFile(path.join(home, 'state/audit.log'), `${texts.join('\n')}\n`);
  const lines = [
    `${AT}  omitted  1890 more refusals of anonymous, counted and not listed  from 10.1.1.1  since ${AT}`,
    `${AT}  omitted  3 more refusals of anonymous, counted and not listed  from other addresses  since ${AT}`,
    `${AT}  lost  12 lines could not be written  since ${AT}`,
  ];
  for (const requests of [false, true]) {
    const printed = (await audit({ requests })).stdout.trim().split('\n');
    assert.deepEqual(printed.slice(1, 4), lines);
    assert.equal(printed.length, 5);
  }
  const json = (await audit({ json: true, subject: 'anonymous' })).stdout.trim().split('\n');
  assert.deepEqual(json, texts.slice(0, 3));
  assert.equal((await audit({ repository: 'nginx:latest' })).stdout.split('\n')[1], lines[2]);
});

test('what people do on the account page is printed', async () => {
  const done = { ...common, subject: 'user:ana', login: 'corp', decision: 'allow', status: 200 };
  const lines = [
    { ...done, action: 'login' },
    { ...done, action: 'create-token', token: 'abc', label: 'laptop', restriction: 'pull library/*' },
    { ...done, action: 'logout', reason: 'logged out by the provider' },
  ];
  const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
  await writeFile(path.join(home, 'state/audit.log'), text);
  const { stdout } = await audit();
  assert.deepEqual(withoutPadding(stdout).split('\n').slice(1, 4), [
    `${AT}  allow  200  user:ana  10.1.1.1  login  -  login corp  1 ms`,
    `${AT}  allow  200  user:ana  10.1.1.1  create-token  -  login corp  token abc  "laptop"  only pull library/*  1 ms`,
    `${AT}  allow  200  user:ana  10.1.1.1  logout  -  login corp  logged out by the provider  1 ms`,
  ]);
});

test('a pull that the limits of a token refused names the token, as hubgate token list does', async () => {
  const refused = {
    ...common,
    subject: 'service:ci',
    decision: 'deny',
    status: 403,
    reason: 'it is limited',
  };
  const lines = [tokenCredential('MMCcOcc0gF'), 'pw_1c'].map((credential) => ({ ...refused, credential }));
  const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
  await writeFile(path.join(home, 'state/audit.log'), text);
  const { stdout } = await audit();
  assert.deepEqual(withoutPadding(stdout).split('\n').slice(1, 3), [
    `${AT}  deny  403  service:ci  10.1.1.1  pull  -  token MMCcOcc0gF  it is limited  1 ms`,
    `${AT}  deny  403  service:ci  10.1.1.1  pull  -  it is limited  1 ms`,
  ]);
});

test('no record yet is none; and what cannot be wanted is bad usage', async () => {
  const wrong = await audit({ since: 'ever', subject: 'group:x', repository: 'A:b:c' });
  assert.deepEqual([wrong.code, wrong.stderr.split('\n').length - 1], [2, 3]);
  await rm(path.join(home, 'state/audit.log'));
  const none = await audit();
  assert.deepEqual([none.code, none.stderr], [0, '']);
  assert.match(none.stdout, /^nothing that matches was audited since \S+Z \(.*audit\.log\)\n$/);
  assert.equal((await audit({ json: true })).stdout, '');
});

/** A request of a pull of nginx:1.29, `seconds` after AT. */
const part = (pull: string, seconds: number, fields: object) => ({
  ...common,
  time: new Date(Date.parse(AT) + seconds * 1000).toISOString(),
  ...{ pull, subject: 'user:ana', repository: 'docker.io/library/nginx', rule: 'base' },
  ...{ decision: 'allow', status: 200, upstreamRequests: 0, countedPulls: 0, ...fields },
});

test('a pull is one line, and its requests are what --requests and --json print', async () => {
  const lines = [
    part('a', 0, { tag: '1.29', method: 'HEAD', bytes: 0, cache: 'revalidated', upstreamRequests: 1 }),
    part('b', 0.2, { tag: '1.28', method: 'HEAD', bytes: 0, cache: 'hit' }),
    part('a', 0.5, { digest: DIGEST, bytes: 500, cache: 'fill', upstreamRequests: 2, countedPulls: 1 }),
    part('a', 3.5, { digest: DIGEST, bytes: 4500, cache: 'joined', milliseconds: 2500 }),
    // A broken one, and much later.
    part('c', 3000, { digest: DIGEST, status: 502, cache: undefined, bytes: 0, milliseconds: 1200 }),
  ];
  const texts = lines.map((line) => JSON.stringify(line));
  await writeFile(path.join(home, 'state/audit.log'), `${texts.join('\n')}\n`);
  const at = (seconds: number) => new Date(Date.parse(AT) + seconds * 1000).toISOString();
  const nginx = 'user:ana  10.1.1.1  pull  docker.io/library/nginx';
  assert.equal(
    withoutPadding((await audit()).stdout),
    [
      HEADING,
      `${AT}  allow  200  ${nginx}:1.29  rule base  revalidated+fill+joined  5000 bytes  3 requests  3 upstream  1 counted  3.5 s`,
      `${at(0.2)}  allow  200  ${nginx}:1.28  rule base  hit  0 bytes  0 upstream  1 ms`,
      `${at(3000)}  allow  502  ${nginx}@${DIGEST}  rule base  0 bytes  0 upstream  1.2 s`,
      '',
    ].join('\n'),
  );
  const requests = withoutPadding((await audit({ requests: true })).stdout)
    .trim()
    .split('\n');
  assert.equal(requests.length, 6);
  assert.equal(
    requests[3],
    `${at(0.5)}  allow  200  ${nginx}@${DIGEST}  rule base  fill  500 bytes  2 upstream  1 counted  1 ms`,
  );
  // What follows the tag does not name it.
  const tagged = (await audit({ json: true, repository: 'nginx:1.29' })).stdout.trim().split('\n');
  assert.deepEqual(tagged, [texts[0], texts[2], texts[3]]);
});

test('what was rotated is read too, as far as it was written to since then', async () => {
  const state = path.join(home, 'state');
  const line = (subject: string, hours: number) =>
    JSON.stringify({ ...LINES[1], subject, time: new Date(Date.now() - hours * 3_600_000).toISOString() });
  const put = async (name: string, hours: number, ...lines: string[]) => {
    const text = lines.map((one) => `${one}\n`).join('');
    await writeFile(path.join(state, name), name.endsWith('.gz') ? gzipSync(text) : text);
    const at = Date.now() / 1000 - hours * 3600;
    await utimes(path.join(state, name), at, at);
  };
  await put('audit.log', 0, line('user:now', 1));
  await put('audit.log.1', 2, line('user:before', 30), line('user:one', 3));
  await put('audit.log-20260101.gz', 4, line('user:zipped', 5));
  // Not looked into: it cannot hold anything that is wanted.
  await put('audit.log.3', 25, line('user:old', 2));
  await put('audit.log.bak', 1, line('user:other', 1));
  const subjects = async (since: string) =>
    (await audit({ json: true, since })).stdout
      .trim()
      .split('\n')
      .map((text) => JSON.parse(text).subject);
  assert.deepEqual(await subjects('24h'), ['user:zipped', 'user:one', 'user:now']);
  assert.deepEqual(await subjects('3d'), ['user:zipped', 'user:before', 'user:one', 'user:old', 'user:now']);
});

test('days and times bound what is printed: a day from its beginning, and to its end', async () => {
  const line = (time: string) => JSON.stringify({ ...LINES[1], time });
  const times = ['2026-10-31T23:59:59.999Z', '2026-11-01T00:00:00.000Z', '2026-11-02T23:59:59.999Z'];
  await writeFile(path.join(home, 'state/audit.log'), `${[...times, AT].map(line).join('\n')}\n`);
  const printed = async (options: object) => {
    const { stdout } = await audit({ json: true, ...options });
    return stdout.split('\n').flatMap((text) => (text === '' ? [] : [JSON.parse(text).time]));
  };
  const [first, second, third] = times;
  assert.deepEqual(await printed({ since: '2026-11-01' }), [second, third, AT]);
  assert.deepEqual(await printed({ since: '2026-10-01', until: '2026-10-31' }), [first]);
  assert.deepEqual(await printed({ since: '2026-10-01', until: '2026-11-02' }), times);
  assert.deepEqual(await printed({ since: '2026-11-01T00:00:00Z', until: '2026-11-02T00:00:00Z' }), [second]);
  assert.deepEqual(await printed({ since: '24h', until: '1m' }), [AT]);
  assert.deepEqual(await printed({ since: '24h', until: '2h' }), []);
  for (const [options, message] of [
    [
      { since: 'ever' },
      /^hubgate: --since "ever" is neither a duration such as 24h nor a time: write 2026-11-01/,
    ],
    [{ until: '2026-11-31' }, /^hubgate: --until "2026-11-31" is neither/],
    [{ since: '2026-11-02', until: '2026-11-01' }, /^hubgate: --until is not later than --since\n$/],
  ] as const) {
    const { code, stderr } = await audit(options);
    assert.equal(code, 2);
    assert.match(stderr, message);
  }
});

test('lines that several gateways wrote are printed in the order of their times', async () => {
  const began = Date.now() - 3_600_000;
  const times = [2, 0, 4, 3, 1, 30, 29, 90, 5, 91].map((seconds) => began + seconds * 1_000);
  const texts = times.map((time, index) =>
    JSON.stringify({ ...LINES[1], time: new Date(time).toISOString(), subject: `user:u${index}` }),
  );
  await writeFile(path.join(home, 'state/audit.log'), `${texts.join('\n')}\n`);
  // A line that comes more than ten seconds too late stays where it is.
  const wanted = [1, 4, 0, 3, 2, 6, 5, 8, 7, 9].map((index) => `user:u${index}`);
  const { stdout } = await audit({ json: true });
  assert.deepEqual(
    stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).subject),
    wanted,
  );
  for (const requests of [false, true]) {
    const printed = await audit({ requests });
    assert.deepEqual(printed.stdout.match(/user:u\d/g), wanted);
  }
});

const OTHER = `sha256:${'b'.repeat(64)}`;

/** What the collection removes. */
const COLLECTED = {
  ...{ action: 'delete', method: 'DELETE', subject: 'hubgate', credential: 'collection', address: 'local' },
  ...{ rule: undefined, status: 202, reason: 'no manifest names it' },
};

/** What a push of one layer, a promotion and the delete of a tag leave, and a line of a pull. */
async function recordWrites(): Promise<void> {
  await mkdir(path.join(home, 'config'));
  await writeFile(path.join(home, 'config/hubgate.yaml'), 'hosted: { namespaces: { "acme/**": {} } }\n');
  const hosted = { subject: 'service:ci', repository: 'hosted/acme/app', decision: 'allow', rule: 'ci' };
  const push = { ...common, ...hosted, action: 'push', push: '6a1d' };
  const upload = '0123456789abcdef0123456789abcdef';
  const lines = [
    { ...push, method: 'POST', upload, status: 202 },
    { ...push, method: 'PATCH', upload, size: 7, status: 416 },
    { ...push, method: 'PUT', upload, digest: OTHER, size: 1000, status: 201 },
    { ...push, method: 'PUT', tag: '1.4', digest: DIGEST, previous: OTHER, size: 500, status: 201 },
    { ...common, ...hosted, action: 'delete', method: 'DELETE', tag: 'old', previous: OTHER, status: 202 },
    { ...common, ...hosted, ...COLLECTED, digest: OTHER },
    {
      ...common,
      ...hosted,
      action: 'promote',
      tag: '2',
      digest: DIGEST,
      from: 'docker.io/library/nginx:2',
      status: 201,
    },
    { ...common, ...hosted, action: 'pull', tag: '1.4', digest: DIGEST, status: 200 },
    {
      ...common,
      ...hosted,
      action: 'pull',
      repository: 'docker.io/acme/app',
      tag: '1.4',
      digest: DIGEST,
      status: 200,
    },
  ];
  await writeFile(
    path.join(home, 'state/audit.log'),
    lines.map((line) => `${JSON.stringify(line)}\n`).join(''),
  );
}

test('a push is one line that says what its tag means now and meant before, and so is a delete', async () => {
  await recordWrites();
  const printed = withoutPadding((await audit({ repository: 'acme/app' })).stdout)
    .trim()
    .split('\n')
    .slice(1);
  const head = (action: string, status: number, tag: string) =>
    `${AT}  allow  ${status}  service:ci  10.1.1.1  ${action}  hosted/acme/app:${tag}  rule ci`;
  const [sets, was] = [`sets sha256:${'a'.repeat(12)}`, `was sha256:${'b'.repeat(12)}`];
  assert.deepEqual(printed, [
    `${head('push', 201, '1.4')}  ${sets}  ${was}  1500 bytes  4 requests  1 ms`,
    `${head('delete', 202, 'old')}  ${was}  1 ms`,
    `${AT}  allow  202  hubgate  local  delete  hosted/acme/app@${OTHER}  no manifest names it  1 ms`,
    `${head('promote', 201, '2')}  ${sets}  from docker.io/library/nginx:2  1 ms`,
    `${head('pull', 200, '1.4')}  1 ms`,
  ]);
});

test('the lines of one action can be asked for', async () => {
  await recordWrites();
  for (const [action, count] of [
    ['push', 4],
    ['delete', 2],
    ['promote', 1],
    ['pull', 2],
    ['mount', 0],
  ] as const) {
    const { stdout } = await audit({ action, json: true });
    const actions = stdout
      .split('\n')
      .flatMap((line) => (line.startsWith('{') ? [JSON.parse(line).action] : []));
    assert.deepEqual(actions, Array(count).fill(action), action);
  }
});
