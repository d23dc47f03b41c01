import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { pathsIn } from '../../src/config/home.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import { runRole } from '../../src/launch/run-role.ts';
import { COMPILED } from '../support/compiled.ts';
import { runVerb } from './support/terminal.ts';

const BIN = path.join(import.meta.dirname, '../../src/bin/hubgate.ts');

/** Of a home that was prepared, and what brings a credential along. */
const SECRETS = [
  'certs/ca.key',
  'certs/server.key',
  'config/hub-token',
  'config/users.yaml',
  'state/signing-key.pem',
];
const OF_ROLE: Readonly<Record<string, readonly string[]>> = {
  core: ['config/hub-token'],
  auth: ['config/users.yaml', 'state/signing-key.pem'],
  gateway: ['certs/ca.key', 'certs/server.key'],
};

let home: string;

const hubgate = (verb: 'prepare' | 'check') => runVerb([verb, '--home', home]);

function start(...args: string[]) {
  const { HOME, PATH } = process.env;
  const { status, stderr } = spawnSync(process.execPath, [BIN, 'start', ...args, '--home', home], {
    env: { HOME, PATH, ...COMPILED },
    encoding: 'utf8',
    timeout: 20_000,
  });
  return { code: status, stderr };
}

beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'hubgate-home-'));
  assert.match(
    (await hubgate('prepare')).stdout,
    /First start\. The user admin has the password .*nothing is missing\n$/s,
  );
  await writeFile(path.join(home, 'config/hub-token'), 's3cret', { mode: 0o600 });
  await writeFile(
    path.join(home, 'config/hubgate.yaml'),
    'upstreams: { docker.io: { username: acme, passwordFile: config/hub-token } }\n',
  );
});

afterEach(() => rm(home, { recursive: true }));

test('a home as it is prepared is in order, by the modes that a start asks for', async () => {
  assert.deepEqual(await hubgate('check'), {
    code: 0,
    stdout: 'hubgate.yaml, access.yaml and users.yaml: nothing is wrong\n',
    stderr: '',
  });
  for (const secret of SECRETS)
    assert.equal((await stat(path.join(home, secret))).mode & 0o777, 0o600, secret);
});

test('secrets that are open to others are refused at a start, all at once, each with the chmod to type', async () => {
  for (const secret of SECRETS) await chmod(path.join(home, secret), 0o644);
  for (const { code, stderr } of [start(), await hubgate('check')]) {
    assert.equal(code, 2, stderr);
    for (const secret of SECRETS)
      assert.ok(stderr.includes(`chmod g-w,o-rwx '${path.join(home, secret)}'`), secret);
    assert.equal(stderr.trimEnd().split('\n').length, SECRETS.length);
    assert.doesNotMatch(stderr, /s3cret/);
  }
  // What is to be typed is what helps.
  for (const [, command = ''] of (await hubgate('check')).stderr.matchAll(/type: (chmod .*)$/gm))
    execFileSync('/bin/sh', ['-c', command]);
  assert.equal((await hubgate('check')).code, 0);
});

test('a role started alone asks for its own secrets in order, and not for those of others', async () => {
  for (const [role, own] of Object.entries(OF_ROLE)) {
    for (const secret of SECRETS) await chmod(path.join(home, secret), 0o666);
    const { code, stderr } = start('--role', role);
    assert.equal(code, 2);
    for (const secret of SECRETS)
      assert.equal(
        stderr.includes(`'${path.join(home, secret)}'`),
        own.includes(secret),
        `${role}: ${secret}`,
      );
  }
});

test('auth started alone reads the authority of the proxy only if it asks issuers, as one that is supervised', async () => {
  const federation = '{ ci: { issuer: "https://issuer.corp", audience: mirror.corp, subject: "${sub}" } }';
  const startAuth = async (federations: string) => {
    const text = `egress: { proxy: "http://127.0.0.1:9", ca: config/proxy-ca.crt }
federation: ${federations}
log: { level: error }
`;
    await writeFile(path.join(home, 'config/hubgate.yaml'), text);
    const loaded = await loadConfig({ directory: home, environment: {}, readsSecrets: false });
    assert.ok('value' in loaded);
    return runRole('auth', loaded.value, pathsIn(home));
  };
  await (await startAuth('{}'))[Symbol.asyncDispose]();
  await assert.rejects(startAuth(federation), /config\/proxy-ca\.crt/);
});

test('of a secret as Kubernetes mounts it the mode of the file counts, and its group may read it', async () => {
  const token = path.join(home, 'config/hub-token');
  await mkdir(path.join(home, 'config/..data'));
  await rename(token, path.join(home, 'config/..data/hub-token'));
  await symlink('..data/hub-token', token);
  await chmod(token, 0o440);
  assert.equal((await hubgate('check')).code, 0);
  await chmod(token, 0o444);
  assert.match(
    (await hubgate('check')).stderr,
    /has the mode 0444: .*\(for a volume of Kubernetes: defaultMode: 0440\)$/m,
  );
});
