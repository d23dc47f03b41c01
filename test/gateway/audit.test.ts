import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { beforeEach, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { openAudit } from '../../src/gateway/audit/audit.ts';
import { type ClientAddress, peerAddress } from '../../src/gateway/http/client-address.ts';
import { parseAuditLine } from '../../src/protocol/audit-line.ts';
import type { FakeHub } from '../support/fake-hub.ts';
import { imageOf, indexOf, type TestImage } from '../support/image.ts';
import { basic, PASSWORD, type TestHubgate } from '../support/test-hubgate.ts';
import { type LoggedLine, testLog } from '../support/test-log.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';

const POLICY = `allow:
  - { id: all, pull: everything, to: [ana, bo] }
  - { id: own, pull: acme/**, to: ana, private: true }
deny: [{ id: pinned, pull: library/centos, to: bo, because: SEC-81 }]`;

/** What a host is asked for that is left alone. A busy machine can seem to be one. */
const PROBE = '/v2/';

let hub: FakeHub;
let hubgate: TestHubgate;
let amd64: TestImage;
let index: TestImage;

beforeEach(async (t) => {
  amd64 = imageOf({ layers: [1, 2, 3].map((size) => randomBytes(size * 100_000)) });
  index = indexOf([amd64, imageOf()]);
  ({ hub, hubgate } = await withMirror(t, {
    policy: POLICY,
    users: ['ana', 'bo'],
    configuration: { server: { catalog: true } },
    images: { 'library/alpine': index, 'library/nginx:1.29': imageOf({ size: 500_000 }) },
    privateImages: { 'acme/pay': index },
  }));
});

/** Each on a connection of its own; the gateways take turns. */
function asker(user: string, agent: string, ports: readonly number[]) {
  let turns = 0;
  return async (target: string, method = 'GET') => {
    const answer = await hubgate.send({
      path: target,
      method,
      port: ports[turns++ % ports.length],
      headers: { authorization: basic(user, PASSWORD), 'user-agent': agent },
    });
    assert.equal(answer.status, 200, target);
    return answer;
  };
}

/**
 * As docker pulls: the tag's HEAD, what it names, the manifest of the platform, and then everything at once.
 */
async function pull(
  ask: (target: string, method?: string) => Promise<unknown>,
  repository: string,
  image: TestImage,
  tag = 'latest',
) {
  const at = `/v2/${repository}`;
  await ask(`${at}/manifests/${tag}`, 'HEAD');
  await ask(`${at}/manifests/${image.digest}`);
  if (image === index) await ask(`${at}/manifests/${amd64.digest}`);
  const { config, layers } = image === index ? amd64 : image;
  await Promise.all([config, ...layers].map((digest) => ask(`${at}/blobs/${digest}`)));
}

async function recorded(count: number) {
  await waitFor(async () => (await hubgate.audit()).length >= count);
  const lines = await hubgate.audit();
  assert.equal(lines.length, count);
  return lines;
}

const sum = (lines: readonly Record<string, unknown>[], field: string) =>
  lines.reduce((total, line) => total + Number(line[field]), 0);

test('what is recorded as asked of the upstream is what it was asked, however many share it', async () => {
  hub.referrersPerPage = 50;
  const ports = [hubgate.port, await hubgate.addGateway()];
  const nginx = imageOf({ size: 700_000 });
  hub.push('library/nginx', 'latest', nginx);
  // Two downloads break off and are mended, which is told only at their end.
  hub.plant('cdn', /^GET/, { kind: 'drop', at: 50_000 }, 2);
  const pulls = (round: string) =>
    Array.from({ length: 16 }, (_, at) => {
      const user = at % 3 === 0 ? 'bo' : 'ana';
      const ask = asker(user, `docker/${round}-${at}`, ports);
      if (at % 4 === 0) return pull(ask, 'library/nginx', nginx);
      return pull(ask, user === 'ana' && at % 4 === 1 ? 'acme/pay' : 'library/alpine', index);
    });
  const reconcile = async (count: number) => {
    const lines = await recorded(count);
    assert.equal(sum(lines, 'upstreamRequests'), hub.log.filter(({ path }) => path !== PROBE).length);
    assert.equal(sum(lines, 'countedPulls'), 100 - hub.remaining);
    return lines;
  };
  await Promise.all(pulls('cold'));
  const count = 4 * 4 + 12 * 7;
  const cold = await reconcile(count);
  // Each manifest once, or once for each repository that has it.
  const counted = sum(cold, 'countedPulls');
  assert.ok(counted >= 3 && counted <= 5, `${counted}`);
  assert.ok(hub.log.filter(({ server }) => server === 'cdn').length > 4);
  assert.ok(cold.some(({ cache, upstreamRequests }) => cache === 'joined' && upstreamRequests === 0));

  await Promise.all(pulls('warm'));
  const warm = (await reconcile(2 * count)).slice(count);
  assert.equal(sum(warm, 'upstreamRequests'), 0);

  hubgate.ahead += 61_000;
  await Promise.all(pulls('stale'));
  const asked = (await reconcile(3 * count)).slice(2 * count);
  // A HEAD of each tag, for each grant.
  assert.ok(sum(asked, 'upstreamRequests') > 0 && sum(asked, 'upstreamRequests') < 10);

  const ask = asker('ana', 'crane', ports);
  for (const target of ['tags/list', `referrers/${index.digest}`]) await ask(`/v2/library/alpine/${target}`);
  await hubgate.ask('/v2/library/nothing/manifests/latest', { user: 'ana' });
  hub.plant('registry', /./, { kind: 'status', status: 500 });
  await hubgate.ask('/v2/library/nothing/manifests/other', { user: 'ana' });
  await reconcile(3 * count + 4);
});

test('the probe of a host that has failed is at nobody’s cost', async () => {
  const ask = asker('ana', 'docker/28', [hubgate.port]);
  await ask('/v2/library/alpine/manifests/latest');
  // The download breaks off, and the storage hangs: it is left alone until a probe finds that it is there
  // again.
  hub.plant('cdn', /^GET \/registry-v2/, { kind: 'drop', at: 50_000 }, 1);
  hub.plant('cdn', /^GET \/registry-v2/, { kind: 'hang' }, 1);
  await ask(`/v2/library/alpine/blobs/${amd64.layers[2]}`);
  const lines = await recorded(2);
  const probes = hub.log.filter(({ path }) => path === PROBE);
  assert.equal(probes.length, 1);
  assert.equal(sum(lines, 'upstreamRequests'), hub.log.length - 1);
});

test('the requests of a pull have one id, whatever gateway takes them, and another pull has another', async () => {
  const ports = [hubgate.port, await hubgate.addGateway()];
  const ask = asker('ana', 'docker/28', ports);
  await pull(ask, 'library/alpine', index);
  const [first, ...rest] = await recorded(7);
  assert.match(String(first?.pull), /^[0-9a-f]{16}$/);
  assert.deepEqual([...new Set(rest.map((line) => line.pull))], [first?.pull]);
  await pull(ask, 'library/alpine', index);
  const ids = new Set((await recorded(14)).map((line) => line.pull));
  assert.equal(ids.size, 2);

  // Callers that ask for the same at the same time.
  const other = asker('bo', 'docker/28', ports);
  const manifests = '/v2/library/alpine/manifests';
  for (const one of [ask, other]) await one(`${manifests}/latest`, 'HEAD');
  for (const one of [ask, other]) await one(`${manifests}/${index.digest}`);
  // Each gateway writes its own lines, so their order in the file is not that of the requests.
  const atOnce = (await recorded(18)).slice(14);
  const idsOf = (subject: string) =>
    new Set(atOnce.filter((line) => line.subject === subject).map((line) => line.pull));
  assert.deepEqual([idsOf('user:ana').size, idsOf('user:bo').size], [1, 1]);
  assert.equal(idsOf('user:ana').union(idsOf('user:bo')).size, 2);

  // What was refused, and what is no pull, has none.
  await hubgate.ask('/v2/library/centos/manifests/latest', { user: 'bo' });
  await hubgate.ask('/v2/library/alpine/tags/list', { user: 'ana' });
  for (const line of (await recorded(20)).slice(-2)) assert.equal(line.pull, undefined);
});

test('a line has what there is to know: who, with what, from where, for what, by which rule, at what cost', async () => {
  await hubgate.send({
    path: '/v2/library/alpine/manifests/latest',
    headers: { authorization: basic('ana', PASSWORD), 'user-agent': 'docker/28\tx\u0085\u009b2J' },
  });
  const [line] = await recorded(1);
  const { time, credential, milliseconds, pull, ...rest } = line ?? {};
  assert.match(String(time), /^\d{4}-.*Z$/);
  assert.match(String(credential), /^pw_/);
  assert.match(String(pull), /^[0-9a-f]{16}$/);
  assert.ok(Number(milliseconds) >= 0);
  assert.deepEqual(rest, {
    level: 30,
    action: 'pull',
    subject: 'user:ana',
    address: '127.0.0.1',
    method: 'GET',
    repository: 'docker.io/library/alpine',
    tag: 'latest',
    digest: index.digest,
    rule: 'all',
    decision: 'allow',
    status: 200,
    bytes: index.bytes.length,
    cache: 'fill',
    // The first HEAD, a token, the HEAD; another token for the account, and the GET.
    upstreamRequests: 5,
    countedPulls: 1,
    agent: 'docker/28?x??2J',
  });
});

test('lists, tokens and refusals are recorded as what they are', async () => {
  hub.referrersPerPage = 50;
  await hubgate.ask('/v2/library/alpine/manifests/latest', { user: 'ana' });
  for (const target of ['library/alpine/tags/list', `library/alpine/referrers/${index.digest}`, '_catalog'])
    assert.equal((await hubgate.ask(`/v2/${target}`, { user: 'ana' })).status, 200);
  assert.equal((await hubgate.ask('/v2/_catalog')).status, 401);
  await hubgate.token('ana', 'library/alpine');
  await hubgate.ask('/token?account=hunter2', { user: 'hunter2', password: 'hunter2' });
  await hubgate.ask('/v2/library/centos/manifests/latest', { user: 'bo' });
  await hubgate.ask('/v2/library/alpine/manifests/latest?access_token=hunter2', { token: 'hunter2' });
  const lines = await recorded(9);
  assert.deepEqual(
    lines.map(({ action, subject, decision, status, rule, upstreamRequests }) =>
      [action, subject, decision, status, rule, upstreamRequests].join(' '),
    ),
    [
      'pull user:ana allow 200 all 5',
      'tags user:ana allow 200 all 1',
      'referrers user:ana allow 200 all 1',
      'catalog user:ana allow 200  ',
      'catalog anonymous deny 401  ',
      'token user:ana allow 200  ',
      'token anonymous deny 401  ',
      'pull user:bo deny 403 pinned ',
      'pull anonymous deny 401  ',
    ],
  );
  assert.doesNotMatch(JSON.stringify(lines), /hunter2/);
});

test('the line of an answer that was cut short has the bytes that were sent, and differs from one of a failure', async () => {
  const [, wrong = '', absent = ''] = amd64.layers;
  hub.plant('cdn', new RegExp(wrong.slice(7)), { kind: 'corrupt', at: 199_000 });
  hub.plant('cdn', new RegExp(absent.slice(7)), { kind: 'status', status: 500 });
  await hubgate.ask('/v2/library/alpine/manifests/latest', { user: 'ana' });
  await hubgate.ask(`/v2/library/alpine/manifests/${amd64.digest}`, { user: 'ana' });
  await assert.rejects(hubgate.ask(`/v2/library/alpine/blobs/${wrong}`, { user: 'ana' }));
  assert.equal((await hubgate.ask(`/v2/library/alpine/blobs/${absent}`, { user: 'ana' })).status, 502);
  const [cut, failed] = (await recorded(4)).slice(2);
  assert.deepEqual([cut?.decision, cut?.status], ['allow', 200]);
  assert.ok(Number(cut?.bytes) > 0 && Number(cut?.bytes) < 200_000, `${cut?.bytes}`);
  assert.deepEqual([failed?.decision, failed?.status, failed?.bytes], ['allow', 502, 0]);
});

test('an IPv4 client has its IPv4 address everywhere, on a listener for both', async () => {
  const { id, text } = await hubgate.giveToken('ana');
  const request = { path: '/v2/library/alpine/manifests/latest', family: 4 };
  const headers = { authorization: basic('ana', text) };
  assert.equal((await hubgate.send({ ...request, headers })).status, 200);
  assert.equal((await recorded(1))[0]?.address, '127.0.0.1');
  await using state = hubgate.openState();
  await waitFor(async () => (await state.tokens()).some((token) => token.lastUsedFrom !== null));
  assert.equal((await state.tokens()).find((token) => token.id === id)?.lastUsedFrom, '127.0.0.1');

  for (const [remoteAddress, address] of [
    ['::ffff:10.1.2.3', '10.1.2.3'],
    ['::1', '::1'],
    ['2001:db8::ffff:1', '2001:db8::ffff:1'],
    [undefined, ''],
  ])
    assert.equal(peerAddress({ remoteAddress } as never), address);
});

test('the record is opened anew when it was renamed, and no line is lost', async () => {
  const file = hubgate.auditFile;
  const lines = async (name: string) => {
    const text = await readFile(name, 'utf8').catch(() => '');
    return text.split('\n').length - 1;
  };
  const ask = () => hubgate.ask('/v2/library/alpine/manifests/latest', { user: 'ana' });
  await ask();
  await waitFor(async () => (await lines(file)) === 1);
  await rename(file, `${file}.1`);
  await ask();
  await waitFor(async () => (await lines(`${file}.1`)) === 2);
  await hubgate.reloadGateway();
  await ask();
  await waitFor(async () => (await lines(file)) === 1);
  assert.equal(await lines(`${file}.1`), 2);
});

test('lines that are written while the record is opened anew are neither lost nor torn', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-audit-'));
  const file = path.join(directory, 'audit.log');
  const audit = openAudit({ file, onFull: 'wait', log: testLog([]) });
  const line = {
    action: 'token',
    subject: 'anonymous',
    address: '' as ClientAddress,
    method: 'GET',
  } as const;
  let written = 0;
  for (let rotation = 0; rotation < 30; ) {
    // A request waits in the same way, so that no line finds the queue full on a busy machine.
    await audit.mayBegin();
    for (let at = 0; at < 5; at++)
      audit({ ...line, decision: 'allow', status: 200, milliseconds: written++ });
    if (existsSync(file)) {
      await rename(file, `${file}.${++rotation}`);
      audit.reopen();
    }
    await turn();
  }
  await waitFor(() => existsSync(file) && audit.state().waiting === 0);
  await audit[Symbol.asyncDispose]();
  const found = async () => {
    const texts = await Promise.all(
      (await readdir(directory)).map((name) => readFile(path.join(directory, name), 'utf8')),
    );
    return texts.flatMap((text) => text.split('\n').filter((one) => one !== ''));
  };
  await waitFor(async () => (await found()).length >= written);
  const numbers = (await found())
    .map((one) => JSON.parse(one).milliseconds)
    .sort((one, other) => one - other);
  assert.deepEqual(
    numbers,
    Array.from({ length: written }, (_, at) => at),
  );
  assert.equal((await readdir(directory)).length, 31);
  await rm(directory, { recursive: true });
});

test('the record ends with the lines of its last turn; one that comes after that is no fault', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-audit-'));
  const file = path.join(directory, 'audit.log');
  const audit = openAudit({ file, onFull: 'wait', log: testLog([]) });
  const line = {
    action: 'token',
    subject: 'anonymous',
    address: '' as ClientAddress,
    method: 'GET',
    status: 401,
  } as const;
  const write = (milliseconds: number) => audit({ ...line, decision: 'deny', milliseconds });
  await waitFor(() => existsSync(file));
  write(1);
  write(2);
  await audit[Symbol.asyncDispose]();
  write(3);
  await waitFor(async () => (await readFile(file, 'utf8')) !== '');
  const found = (await readFile(file, 'utf8')).trim().split('\n');
  assert.deepEqual(
    found.map((one) => JSON.parse(one).milliseconds),
    [1, 2],
  );
  await rm(directory, { recursive: true });
});

test('where the record cannot be opened anew it goes on in the old file, and nothing else is closed', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-audit-'));
  const file = path.join(directory, 'audit.log');
  const log: LoggedLine[] = [];
  await using audit = openAudit({ file, onFull: 'wait', log: testLog(log) });
  const write = (milliseconds: number) =>
    audit({
      ...{ action: 'token', subject: 'anonymous', address: '' as ClientAddress, method: 'GET' },
      ...{ decision: 'deny', status: 401, milliseconds },
    });
  const has = (name: string, milliseconds: number) =>
    waitFor(async () =>
      (await readFile(name, 'utf8').catch(() => '')).includes(`"milliseconds":${milliseconds}}`),
    );
  write(1);
  await has(file, 1);
  await rename(file, `${file}.1`);
  await mkdir(file);
  audit.reopen();
  await waitFor(() => log.length === 1);
  write(2);
  await has(`${file}.1`, 2);
  await rmdir(file);
  audit.reopen();
  await waitFor(() => existsSync(file));
  write(3);
  await has(file, 3);
  assert.deepEqual(
    log.map(({ msg }) => msg),
    ['the audit log cannot be written'],
  );
  await rm(directory, { recursive: true });
});

test('each line of a node of a cluster names the node, whoever sends what', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-audit-'));
  const file = path.join(directory, 'audit.log');
  const audit = openAudit({ file, onFull: 'wait', node: 'n1', log: testLog([]) });
  const line = { action: 'token', subject: 'user:ana', address: '' as ClientAddress, method: 'GET' } as const;
  await waitFor(() => existsSync(file));
  audit({ ...line, decision: 'allow', status: 200, milliseconds: 1 });
  audit({ ...line, decision: 'allow', status: 200, milliseconds: 2, agent: '","node":"n2' });
  await audit[Symbol.asyncDispose]();
  const stored = (await readFile(file, 'utf8')).trim().split('\n').map(parseAuditLine);
  assert.deepEqual(
    stored.map((one) => [one?.node, one !== undefined && 'milliseconds' in one && one.milliseconds]),
    [
      ['n1', 1],
      ['n1', 2],
    ],
  );
  await rm(directory, { recursive: true });
});
