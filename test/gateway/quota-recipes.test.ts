import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { loadConfig } from '../../src/config/load-config.ts';
import { upstreamOptions } from '../../src/launch/upstream-options.ts';
import { formatFault } from '../../src/platform/fault.ts';
import { parseFiles } from '../access/support/policy.ts';
import { FakeHub } from '../support/fake-hub.ts';
import { imageOf } from '../support/image.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';

const PAGE = readFileSync(path.join(import.meta.dirname, '../../docs/quota.md'), 'utf8');

/** Returns the files of a recipe by their names. */
function recipe(title: string): Readonly<Record<string, string>> {
  const [, text = assert.fail(title)] = PAGE.split(`\n### ${title}\n`);
  const [until = ''] = text.split(/^##/m);
  const blocks = [...until.matchAll(/^```yaml\n# config\/(.+)\n((?:.*\n)*?)```$/gm)];
  return Object.fromEntries(blocks.map(([, name = '', content = '']) => [name, content]));
}

/** Checks the policy of a recipe with its own tests, and returns its rules. */
function rulesOf(files: Readonly<Record<string, string>>): string {
  const { 'access.yaml': text = assert.fail('there is no policy') } = files;
  const parsed = parseFiles({ 'access.yaml': text });
  assert.ok('value' in parsed, 'faults' in parsed ? parsed.faults.map(formatFault).join('\n') : '');
  assert.deepEqual(parsed.warnings, []);
  assert.ok(parsed.value.tests.length > 0);
  // A recipe whose limits or private rules are gone fails its tests: they test something.
  const without = text.replace(/^(limits|reserve):\n(?: {2}.*\n)+/gm, '').replace(/, private: true/g, '');
  assert.ok('faults' in parseFiles({ 'access.yaml': without }));
  return text.replace(/^version: 1\n/, '').replace(/\n\.\.\.\n$/, '\n');
}

/** A mirror with a policy, and a Hub with 100 pulls in 6 hours and as many images that nobody has pulled. */
async function start(t: TestContext, policy: string, users: readonly string[]) {
  const { hub, hubgate } = await withMirror(t, { policy, users });
  for (let image = 0; image <= 100; image++) hub.push(`library/cold-${image}`, 'latest', imageOf());
  let next = 0;
  /** Pulls images that nobody has pulled. Returns how many pulls were granted, and the last refusal. */
  const pull = async (user: string, count: number) => {
    const said = { granted: 0, refusal: '', status: 200 };
    for (let turn = 0; turn < count; turn++) {
      const { status, body } = await hubgate.ask(`/v2/library/cold-${next}/manifests/latest`, { user });
      if (status === 200) {
        said.granted++;
        next++;
      } else Object.assign(said, { status, refusal: JSON.parse(body.toString()).errors[0].message });
    }
    return said;
  };
  return { hub, hubgate, pull };
}

test('recipe: CI must not starve production', async (t) => {
  const rules = rulesOf(recipe('CI must not starve production'));
  const { hubgate, pull } = await start(t, rules, ['ci-web', 'ci-pay', 'ana', 'deploy']);
  const ci = await pull('ci-web', 62);
  assert.deepEqual([ci.granted, ci.status], [60, 429]);
  assert.match(
    ci.refusal,
    /^ci-web shares 60 docker\.io pulls of 6 h with others, and they are used up \(limit ci\); more from .* UTC\. CI's share; ask #platform$/,
  );
  assert.equal((await pull('ci-pay', 1)).granted, 0);
  const cached = await hubgate.ask('/v2/library/cold-0/manifests/latest', { user: 'ci-web' });
  assert.equal(cached.status, 200);
  const others = await pull('ana', 22);
  assert.deepEqual([others.granted, others.status], [20, 429]);
  assert.match(others.refusal, /^the rest of the quota of docker\.io is kept for others \(reserve prod\)/);
  assert.equal((await pull('deploy', 20)).granted, 20);
  await waitFor(async () => (await hubgate.audit()).some(({ limit }) => limit === 'prod'));
  const lines = await hubgate.audit();
  assert.equal(lines.filter(({ limit, subject }) => limit === 'ci' && subject === 'user:ci-web').length, 2);
});

test('recipe: a limit for each person', async (t) => {
  const rules = rulesOf(recipe('A limit for each person'));
  const mirror = await start(t, rules, ['ana', 'jin']);
  const { pull } = mirror;
  const ana = await pull('ana', 21);
  assert.deepEqual([ana.granted, ana.status], [20, 429]);
  assert.match(ana.refusal, /^ana has used its 20 pulls of 6 h \(limit each\); more from .* UTC$/);
  assert.equal((await pull('jin', 5)).granted, 5);
});

test('recipe: a second account for one team', async (t) => {
  const files = recipe('A second account for one team');
  const rules = rulesOf(files);
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-recipe-'));
  t.after(() => rm(directory, { recursive: true }));
  for (const name of ['config', 'state']) await mkdir(path.join(directory, name));
  for (const name of ['main', 'pay'])
    await writeFile(path.join(directory, `state/${name}.token`), `token-of-${name}`, { mode: 0o600 });
  await writeFile(path.join(directory, 'config/hubgate.yaml'), files['hubgate.yaml'] ?? '', { mode: 0o600 });
  const loaded = await loadConfig({ directory, environment: {}, readsSecrets: true, judgesModes: true });
  assert.ok('value' in loaded, 'faults' in loaded ? loaded.faults.map(formatFault).join('\n') : '');
  const [upstream = assert.fail()] = await upstreamOptions(loaded.value);
  const users = ['ana', 'ci-pay'];
  await using hub = await FakeHub.start();
  for (const name of ['main', 'pay'])
    hub.accounts.push({ username: 'acme', password: `token-of-${name}`, repositories: ['acme/pay-api'] });
  hub.push('library/nginx', 'latest', imageOf());
  hub.push('acme/pay-api', 'latest', imageOf(), { private: true });
  const core = { upstreams: [{ ...upstream, url: hub.url }] };
  await using mirror = await withMirror(t, { policy: rules, users, core, hub });
  const { hubgate } = mirror;
  const statusOf = async (user: string, repository: string) =>
    (await hubgate.ask(`/v2/${repository}/manifests/latest`, { user })).status;
  assert.equal(await statusOf('ana', 'library/nginx'), 200);
  assert.equal(await statusOf('ana', 'acme/pay-api'), 404);
  assert.equal(await statusOf('ci-pay', 'acme/pay-api'), 200);
  await waitFor(async () => (await hubgate.audit()).filter(({ countedPulls }) => countedPulls).length === 2);
  const counted = (await hubgate.audit()).filter(({ countedPulls }) => countedPulls);
  assert.deepEqual(
    counted.map(({ repository, account }) => [repository, account]),
    [
      ['docker.io/library/nginx', 'main'],
      ['docker.io/acme/pay-api', 'pay'],
    ],
  );
});
