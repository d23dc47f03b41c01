/** What `hubgate start` prints when the mirror serves. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import packageJson from '../../package.json' with { type: 'json' };
import { printReachability } from '../../src/commands/reachability.ts';
import { printWelcome } from '../../src/commands/welcome.ts';
import { pathsIn } from '../../src/config/home.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import { FakeHub } from '../support/fake-hub.ts';
import { TestCore } from '../support/test-core.ts';
import { run } from './support/terminal.ts';

test('a start says its version, ports, accounts, policy and disk, and no password', async (t) => {
  const home = await mkdtemp(path.join(tmpdir(), 'hubgate-welcome-'));
  t.after(() => rm(home, { recursive: true }));
  await mkdir(path.join(home, 'config/access.d'), { recursive: true });
  await writeFile(path.join(home, 'config/access.d/pay.yaml'), 'version: 1\n...\n');
  const settings = {
    server: { url: 'https://mirror.corp', listen: ':8443', admin: '127.0.0.1:9090' },
    upstreams: {
      'docker.io': { username: 'acme-mirror', password: 'geheim' },
      'ghcr.io': {},
      'quay.io': { accounts: [{ name: 'pay', username: 'acme+pay', passwordFile: '/run/pay' }] },
    },
    cache: { directory: '.', maxSize: '2GiB' },
  };
  await writeFile(path.join(home, 'config/hubgate.yaml'), JSON.stringify(settings));
  const loaded = await loadConfig({ directory: home, environment: {}, readsSecrets: false });
  assert.ok('value' in loaded);
  const welcome = (prepared: { firstPassword?: string }) =>
    run(async (terminal) => {
      await printWelcome(loaded.value, pathsIn(home), prepared, terminal);
      return 0;
    });
  const { stdout } = await welcome({});
  const { version } = packageJson;
  assert.ok(stdout.includes(`\nHubgate ${version} mirrors docker.io, ghcr.io, quay.io\n`), stdout);
  for (const expected of [
    /^ {2}listening on {4}every address, port 8443, as https:\/\/mirror\.corp$/m,
    /^ {2}metrics {9}127\.0\.0\.1, port 9090$/m,
    /^ {2}account {9}acme-mirror at docker\.io$/m,
    /^ {2}account {9}none at ghcr\.io: only what is public$/m,
    /^ {2}account {9}pay \(acme\+pay\) at quay\.io$/m,
    /^ {2}policy {10}\S+config\/access\.yaml and 1 more in \S+config\/access\.d$/m,
    /^ {2}cache {11}\S+, at most 2\.0 GiB; the disk has [\d.]+ \w+ of [\d.]+ \w+ free$/m,
    /^ {2}docker login mirror\.corp$/m,
  ])
    assert.match(stdout, expected);
  assert.ok(!stdout.includes('geheim'));
  assert.match((await welcome({ firstPassword: 'x' })).stdout, /^ {2}docker login mirror\.corp -u admin$/m);
});

test('a start on a terminal says which upstreams answer', async () => {
  await using hub = await FakeHub.start();
  await using core = await TestCore.start(hub);
  const print = () =>
    run(async (terminal) => {
      await printReachability({ coreSocket: core.socket }, terminal);
      return 0;
    });
  assert.match((await print()).stdout, /^ {2}docker\.io answers, in \d+ ms/);
  await hub.stop();
  assert.match(
    (await print()).stdout,
    /^ {2}docker\.io cannot be reached: .*; what is cached is served\. To see each step: hubgate upstream check docker\.io\n$/,
  );
});
