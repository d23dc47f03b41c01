import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFile, rename } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { beforeEach, test } from 'node:test';
import { ensureServerCertificate } from '../../src/pki/local-ca.ts';
import { AUDITED_ACTIONS } from '../../src/registry/action.ts';
import type { FakeHub } from '../support/fake-hub.ts';
import { ask } from '../support/http.ts';
import { imageOf, type TestImage } from '../support/image.ts';
import { type Scrape, scrape } from '../support/scrape.ts';
import { basic, PASSWORD, type TestHubgate } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';

const POLICY = 'allow: [{ pull: library/**, to: authenticated }]';
const MANIFEST = '/v2/library/alpine/manifests/latest';
const USER = { user: 'ana' };
const DOCKER = { upstream: 'docker.io' };

let hub: FakeHub;
let hubgate: TestHubgate;
let image: TestImage;
let layer: string;

beforeEach(async (t) => {
  image = imageOf({ size: 5_000 });
  layer = `/v2/library/alpine/blobs/${image.layers[0]}`;
  ({ hub, hubgate } = await withMirror(t, { policy: POLICY, images: { 'library/alpine': image } }));
});

/** By how much each of these grows, in the order in which they are named. */
async function growth(
  action: () => Promise<unknown>,
  ...meters: Parameters<Scrape['value']>[]
): Promise<(number | undefined)[]> {
  const before = await scrape(hubgate.adminPort);
  await action();
  const after = await scrape(hubgate.adminPort);
  return meters.map((meter) => {
    const value = after.value(...meter);
    return value === undefined ? undefined : value - (before.value(...meter) ?? 0);
  });
}

test('pulls are counted by what was asked for, how they were decided, and how the answer came about', async () => {
  const kinds = await growth(
    async () => {
      for (const method of ['GET', 'GET', 'HEAD'])
        assert.equal((await hubgate.ask(MANIFEST, { ...USER, method })).status, 200);
      assert.equal((await hubgate.ask(layer, USER)).status, 200);
      await waitFor(async () => (await scrape(hubgate.adminPort)).value('hubgate_fills_under_way') === 0);
      assert.equal((await hubgate.ask(layer, USER)).status, 200);
      assert.equal((await hubgate.ask('/v2/library/alpine/tags/list', USER)).status, 200);
      assert.equal((await hubgate.ask('/v2/acme/secret/manifests/latest', USER)).status, 403);
      assert.equal((await hubgate.ask('/v2/', USER)).status, 200);
      assert.equal((await hubgate.ask('/nonsense')).status, 404);
    },
    ['hubgate_requests_total', { kind: 'manifest', method: 'GET', status: '2xx' }],
    ['hubgate_requests_total', { kind: 'manifest', method: 'HEAD', status: '2xx' }],
    ['hubgate_requests_total', { kind: 'manifest', status: '4xx' }],
    ['hubgate_requests_total', { kind: 'blob' }],
    ['hubgate_requests_total', { kind: 'tags' }],
    ['hubgate_requests_total', { kind: 'ping' }],
    ['hubgate_requests_total', { kind: 'other', status: '4xx' }],
    ['hubgate_request_duration_seconds_count', { kind: 'blob' }],
    ['hubgate_decisions_total', { action: 'pull', decision: 'allow' }],
    ['hubgate_decisions_total', { action: 'tags', decision: 'allow' }],
    ['hubgate_decisions_total', { action: 'pull', decision: 'deny' }],
    ['hubgate_pulls_total', { cache: 'fill' }],
    ['hubgate_pulls_total', { cache: 'hit' }],
    ['hubgate_sent_bytes_total', {}],
    ['hubgate_fills_total', { outcome: 'whole' }],
    ['hubgate_upstream_quota_remaining', DOCKER],
    ['hubgate_requests_under_way', {}],
    ['hubgate_responses_cut_total', {}],
  );
  const sent =
    2 * image.bytes.length + 2 * 5_000 + JSON.stringify({ name: 'library/alpine', tags: ['latest'] }).length;
  assert.deepEqual(kinds, [2, 1, 1, 2, 1, 1, 1, 2, 5, 1, 1, 3, 3, sent, 1, 100, 0, undefined]);
});

test('every action is counted from zero, so that the first refusal is seen as an increase', async () => {
  const scraped = await scrape(hubgate.adminPort);
  for (const action of AUDITED_ACTIONS)
    for (const decision of ['allow', 'deny'])
      assert.equal(scraped.value('hubgate_decisions_total', { action, decision }), 0, action);
});

test('logins are counted by what was shown and what came of it, without a name', async () => {
  const { text } = await hubgate.giveToken('ana');
  const logins = await growth(
    async () => {
      await hubgate.token('ana', 'library/alpine');
      await hubgate.ask('/token', { user: 'ana', password: 'wrong' });
      await hubgate.ask('/token', { user: 'ana', password: text });
      // As dockerd sends its Docker Hub login to every mirror: not a login here, where nothing needs one.
      await hubgate.setPolicy('allow: [{ pull: library/**, to: anonymous, from: 127.0.0.0/8 }]');
      await waitFor(async () => {
        const { status } = await hubgate.ask('/token?scope=repository:library/alpine:pull', {
          user: 'somebody',
          password: 'of-the-hub',
        });
        return status === 200;
      });
    },
    ['hubgate_logins_total', { by: 'password', outcome: 'right' }],
    ['hubgate_logins_total', { by: 'token', outcome: 'right' }],
    ['hubgate_decisions_total', { action: 'token', decision: 'deny' }],
  );
  assert.equal(logins[0], 1);
  assert.equal(logins[1], 1);
  assert.ok((logins[2] ?? 0) >= 1);
  const after = await scrape(hubgate.adminPort);
  assert.ok((after.value('hubgate_logins_total', { by: 'password', outcome: 'stray' }) ?? 0) >= 1);
  assert.ok((after.value('hubgate_logins_total', { by: 'password', outcome: 'wrong' }) ?? 0) >= 1);
  assert.doesNotMatch(after.text, /ana|somebody|library|127\.0\.0/);
});

test('a fill under way is seen, and an answer that a client leaves is counted as cut', async () => {
  const now = async (...meter: Parameters<Scrape['value']>) =>
    (await scrape(hubgate.adminPort)).value(...meter);
  const gate = Promise.withResolvers<void>();
  hub.plant('cdn', /./, { kind: 'pause', at: 100, gate: gate.promise });
  const pulling = hubgate.ask(layer, USER);
  await waitFor(async () => (await now('hubgate_fills_under_way')) === 1);
  assert.equal(await now('hubgate_requests_under_way'), 1);
  gate.resolve();
  assert.equal((await pulling).body.length, 5_000);
  await waitFor(async () => (await now('hubgate_fills_under_way')) === 0);
  assert.equal(await now('hubgate_fills_total', { outcome: 'whole' }), 1);
  assert.equal(await now('hubgate_responses_cut_total'), undefined);
  // The Hub's token service and its storage are hosts of their own.
  const asked = await scrape(hubgate.adminPort);
  const parts = [...asked.series.keys()].filter((one) => one.startsWith('hubgate_upstream_requests_total'));
  assert.deepEqual(
    [...new Set(parts.map((one) => /upstream="(.*?)",part="(.*?)"/.exec(one)?.slice(1).join(' ')))].sort(),
    ['docker.io registry', 'docker.io storage', 'docker.io token'],
  );

  hub.heal();
  hub.plant('cdn', /./, { kind: 'hang' });
  const leaving = new AbortController();
  const left = hubgate.send({
    path: `/v2/library/alpine/blobs/${image.config}`,
    headers: { authorization: basic('ana', PASSWORD) },
    signal: leaving.signal,
    agent: false,
  });
  await waitFor(async () => (await now('hubgate_requests_under_way')) === 1);
  leaving.abort();
  await assert.rejects(left);
  await waitFor(async () => (await now('hubgate_responses_cut_total', { kind: 'blob' })) === 1);
});

test('what upstreams answer is counted by its status, and trouble by its reason; stale answers have an age', async () => {
  assert.equal((await hubgate.ask(MANIFEST, USER)).status, 200);
  assert.equal((await hubgate.ask('/v2/library/none/manifests/latest', USER)).status, 404);
  hub.plant('registry', /manifests\/limited/, { kind: 'status', status: 429 });
  assert.equal((await hubgate.ask('/v2/library/alpine/manifests/limited', USER)).status, 429);
  const well = await scrape(hubgate.adminPort);
  const registry = { ...DOCKER, part: 'registry' };
  assert.equal(well.value('hubgate_upstream_requests_total', { ...registry, status: '429' }), 1);
  assert.ok((well.value('hubgate_upstream_requests_total', { ...registry, status: '401' }) ?? 0) >= 1);
  assert.ok((well.value('hubgate_upstream_requests_total', { ...registry, status: '2xx' }) ?? 0) >= 1);
  assert.ok((well.value('hubgate_upstream_request_duration_seconds_count', registry) ?? 0) >= 3);
  assert.equal(well.value('hubgate_upstream_breaker_open', DOCKER), 0);
  assert.equal(well.value('hubgate_upstream_quota_limit', DOCKER), 100);
  assert.equal(well.value('hubgate_upstream_quota_window_seconds', DOCKER), 21_600);
  await hub.stop();
  hubgate.ahead += 120_000;
  assert.equal((await hubgate.ask(MANIFEST, USER)).status, 200);
  for (let attempt = 0; attempt < 6; attempt++)
    await hubgate.ask(`/v2/library/alpine/manifests/other-${attempt}`, USER);
  const down = await scrape(hubgate.adminPort);
  assert.equal(down.value('hubgate_upstream_breaker_open', DOCKER), 1);
  assert.ok(
    (down.value('hubgate_upstream_requests_total', { ...registry, status: 'unreachable' }) ?? 0) >= 5,
  );
  assert.equal(down.value('hubgate_pulls_total', { cache: 'stale' }), 1);
  assert.equal(down.value('hubgate_stale_answer_age_seconds_count'), 1);
  const age = down.value('hubgate_stale_answer_age_seconds_sum') ?? 0;
  // The clock goes on while the test runs.
  assert.ok(age >= 120 && age < 180, `${age} s`);
});

test('no client can make a label: neither with 50 repositories and tags nor with 10 users and odd methods', async (t) => {
  const users = Array.from({ length: 10 }, (_, index) => `user-${index}`);
  ({ hubgate } = await withMirror(t, { policy: POLICY, users: ['ana', ...users], hub }));
  const repositories = Array.from({ length: 50 }, (_, index) => `library/image-${index}`);
  for (const name of repositories) hub.push(name, 'latest', image);
  const pull = async (name: string, user: string) => {
    for (const tag of ['latest', 'none', `none-of-${user}`])
      await hubgate.ask(`/v2/${name}/manifests/${tag}`, { user });
    await hubgate.ask(`/v2/${name}/blobs/${image.layers[0]}`, { user });
    await hubgate.ask(`/v2/${name}/tags/list`, { user });
    await hubgate.ask(`/v2/acme/${name}/manifests/latest`, { user });
    await hubgate.ask(`/${name}?n=${user}`, { user });
    await hubgate.ask(`/v2/${name}/${user}/constructor`, { user, method: 'PROPFIND' });
    await hubgate.ask(`/v2/${name}/constructor/x`, { user, method: 'PURGE' });
    await hubgate.ask('/token', { user: `no-${user}`, password: name });
  };
  await pull('library/image-0', 'ana');
  await pull('library/image-0', 'ana');
  const before = await scrape(hubgate.adminPort);
  await Promise.all(
    users.map(async (user, index) => {
      for (const name of repositories.slice(index * 5, index * 5 + 5)) await pull(name, user);
    }),
  );
  const after = await scrape(hubgate.adminPort);
  const added = [...after.series.keys()].filter((one) => !before.series.has(one));
  // What the upstream happens to answer for the first time, and a login that has to wait.
  const known = /^hubgate_upstream_re|^hubgate_logins_total\{by="password",outcome="busy"\}|cache="/;
  assert.deepEqual(
    added.filter((one) => !known.test(one)),
    [],
  );
  assert.ok(added.length <= 3, added.join('\n'));
  assert.doesNotMatch(after.text, /image-|user-|acme|none|127\.0\.0|constructor|PROPFIND|PURGE/);
  assert.ok(
    (after.value('hubgate_requests_total') ?? 0) > (before.value('hubgate_requests_total') ?? 0) + 400,
  );
});

test('a role that is down costs a scrape its own part and no more', async () => {
  await hubgate.ask(MANIFEST, USER);
  await hubgate.stopCore();
  const withoutCore = await scrape(hubgate.adminPort);
  assert.equal(withoutCore.value('hubgate_core_up'), 0);
  assert.equal(withoutCore.value('hubgate_auth_up'), 1);
  assert.equal(withoutCore.types.has('hubgate_cache_bytes'), false);
  assert.equal(withoutCore.value('hubgate_requests_total', { kind: 'manifest' }), 1);
  await hubgate.stopAuth();
  const alone = await scrape(hubgate.adminPort);
  assert.equal(alone.value('hubgate_auth_up'), 0);
  assert.equal(alone.value('hubgate_policy_info'), undefined);
  assert.equal(alone.value('hubgate_gateways_up'), 1);
  await hubgate.restartCore();
  await hubgate.restartAuth();
  const again = await scrape(hubgate.adminPort);
  assert.deepEqual([again.value('hubgate_core_up'), again.value('hubgate_auth_up')], [1, 1]);
});

test('what cannot be measured is left out, and the rest is told', async () => {
  await rename(path.join(hubgate.home, 'data'), path.join(hubgate.home, 'elsewhere'));
  const told = await scrape(hubgate.adminPort);
  await rename(path.join(hubgate.home, 'elsewhere'), path.join(hubgate.home, 'data'));
  assert.equal(told.value('hubgate_core_up'), 1);
  assert.equal(told.value('hubgate_cache_disk_free_bytes'), undefined);
  assert.equal(told.value('hubgate_cache_bytes'), 0);
  assert.ok((await scrape(hubgate.adminPort)).value('hubgate_cache_disk_free_bytes') !== undefined);
});

test('invariant 16: a role that takes questions and never answers, or not to the end, holds up no scrape', async (t) => {
  await hubgate.stopCore();
  for (const said of [
    '',
    'HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n[{"name"',
    'HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n{"a":[]}',
  ]) {
    const hanging = createServer((socket) => {
      socket.on('error', () => {});
      t.after(() => socket.destroy());
      socket.once('data', () => socket.write(said));
    });
    t.after(() => hanging.close());
    hanging.listen(hubgate.paths.coreSocket);
    await once(hanging, 'listening');
    const told = await scrape(hubgate.adminPort);
    assert.deepEqual([told.value('hubgate_core_up'), told.value('hubgate_auth_up')], [0, 1]);
    const ready = await ask({ host: '127.0.0.1', port: hubgate.adminPort, path: '/readyz' });
    assert.equal(JSON.parse(ready.body.toString()).auth.ready, true);
    hanging.close();
  }
});

test('the certificate that is shown says when it ends, also after it was replaced', async () => {
  const ends = async () =>
    (await scrape(hubgate.adminPort)).value('hubgate_certificate_expiry_timestamp_seconds');
  const { ca, server } = hubgate.paths;
  const file = server.certificate;
  const before = Date.parse(new X509Certificate(await readFile(file)).validTo) / 1000;
  assert.equal(await ends(), before);
  const fresh = { certificate: `${file}.new`, key: `${server.key}.new` };
  await ensureServerCertificate({
    ca,
    server: fresh,
    names: ['localhost'],
    clock: () => Date.now() + 48 * 60 * 60_000,
  });
  await rename(fresh.key, server.key);
  await rename(fresh.certificate, file);
  const after = Date.parse(new X509Certificate(await readFile(file)).validTo) / 1000;
  assert.notEqual(after, before);
  await waitFor(async () => (await ends()) === after);
});

test('readiness names the policy, and ends when the listener drains; what is asked is answered to the end', async () => {
  const readiness = async () => {
    const { status, body } = await ask({ host: '127.0.0.1', port: hubgate.adminPort, path: '/readyz' });
    return [status, JSON.parse(body.toString())] as const;
  };
  const [status, said] = await readiness();
  assert.equal(status, 200);
  assert.deepEqual(said.policy, { ready: true, version: said.auth.policy.version });
  assert.equal(said.listener.ready, true);
  const gate = Promise.withResolvers<void>();
  hub.plant('cdn', /./, { kind: 'pause', at: 100, gate: gate.promise });
  const pulling = hubgate.ask(layer, USER);
  await waitFor(async () => (await scrape(hubgate.adminPort)).value('hubgate_fills_under_way') === 1);
  const stopped = hubgate.stopGateway();
  await waitFor(async () => (await readiness())[0] === 503);
  assert.equal((await readiness())[1].listener.ready, false);
  gate.resolve();
  assert.equal((await pulling).body.length, 5_000);
  await stopped;
});
