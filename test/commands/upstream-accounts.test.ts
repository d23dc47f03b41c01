/** Tests that the commands name each of several accounts, and say which of them is refused. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { upstreamChecks } from '../../src/commands/doctor/server/upstreams.ts';
import { pathsIn } from '../../src/config/home.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import { startCore } from '../../src/core/core.ts';
import { upstreamOptions } from '../../src/launch/upstream-options.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { FakeHub } from '../support/fake-hub.ts';
import { imageOf } from '../support/image.ts';
import { PATIENT_LIMITS, QUIET } from '../support/test-core.ts';
import { runVerb } from './support/terminal.ts';

let home: string;
let hub: FakeHub;

beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'hubgate-upstream-accounts-'));
  hub = await FakeHub.start();
  hub.push('ratelimitpreview/test', 'latest', imageOf());
  hub.accounts.push({ username: 'acme', password: 'of main', repositories: [], remaining: 42 });
  await mkdir(path.join(home, 'config'));
  await writeFile(path.join(home, 'main'), 'of main', { mode: 0o600 });
  await writeFile(path.join(home, 'pay'), 'outdated', { mode: 0o600 });
  await writeFile(
    path.join(home, 'config/hubgate.yaml'),
    `upstreams:
  docker.io:
    url: ${hub.url.origin}
    accounts:
      - { name: main, username: acme, passwordFile: main }
      - { name: pay, username: acme, passwordFile: pay, only: "acme/pay-**" }
`,
  );
});

afterEach(async () => {
  await hub[Symbol.asyncDispose]();
  await rm(home, { recursive: true });
});

async function configured() {
  const loaded = await loadConfig({ directory: home, environment: {}, readsSecrets: true });
  return 'value' in loaded ? loaded.value : assert.fail();
}

async function start() {
  const { coreSocket } = pathsIn(home);
  await mkdir(path.dirname(coreSocket), { recursive: true });
  return startCore({
    socket: coreSocket,
    directory: path.join(home, 'data'),
    upstreams: await upstreamOptions(await configured()),
    tagFreshness: 60_000,
    staleIfError: 60_000,
    maxSize: 2 ** 40,
    unusedFor: 0,
    log: QUIET,
    limits: PATIENT_LIMITS,
  });
}

test('hubgate upstream shows each account with its credential and its quota', async () => {
  await using _core = await start();
  const { code, stdout } = await runVerb(['upstream', '--home', home]);
  assert.equal(code, 1, 'one account is refused');
  assert.match(
    stdout,
    /^docker\.io\n {2}reachable .*\n {2}account main\n {4}credential {2}accepted\n {4}quota {7}42 of 100 pulls in 6 h .*\n {4}pulls {7}0 through this mirror in 6 h\n {2}account pay\n {4}credential {2}refused: see upstreams in hubgate\.yaml\n {4}quota {7}nothing was said of one\n {4}pulls {7}.* through this mirror.*\n$/,
  );
  const [shown] = JSON.parse((await runVerb(['upstream', '--home', home, '--json'])).stdout);
  assert.deepEqual(
    shown.accounts.map(({ name, credential, quota }: Record<string, unknown>) => [
      name,
      credential,
      typeof quota,
    ]),
    [
      ['main', 'accepted', 'object'],
      ['pay', 'refused', 'object'],
    ],
  );
});

test('hubgate upstream check says whose credential is refused, with and without a running core', async () => {
  const check = () => runVerb(['upstream', 'check', 'docker.io', '--home', home]);
  const refused = /✗ token +the credential of pay is refused\n/;
  assert.match((await check()).stdout, refused);
  await using _core = await start();
  assert.match((await check()).stdout, refused);
  hub.accounts.push({ username: 'acme', password: 'outdated', repositories: [] });
  const { code, stdout } = await check();
  assert.equal(code, 0);
  assert.match(stdout, /✓ token +the credential of main is accepted, the credential of pay is accepted\n/);
});

test('doctor names the account that is refused, and where its password is', async () => {
  const server = {
    config: await configured(),
    paths: pathsIn(home),
    auth: undefined,
    core: undefined,
    clock: systemClock,
  };
  const look = async (name: string) => {
    const check = upstreamChecks(server).find((one) => one.name === name) ?? assert.fail();
    const looked = await check.look();
    return 'findings' in looked ? looked.findings : assert.fail();
  };
  const [finding, ...others] = await look('credentials');
  assert.deepEqual(others, []);
  assert.match(
    `${finding?.what}; ${finding?.mend}`,
    /^refuses the credential of the account pay; .* in upstreams\.docker\.io\.accounts: its passwordFile/,
  );
  assert.deepEqual(await look('read-only credentials'), []);
});
