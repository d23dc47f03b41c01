import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { parseServiceToken } from '../../src/auth/identity/service-token.ts';
import { createToken, listTokens, revokeToken } from '../../src/commands/token.ts';
import { deleteUser } from '../../src/commands/user.ts';
import { run } from './support/terminal.ts';

let home: string;

beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'hubgate-tokens-'));
  await mkdir(path.join(home, 'config'));
  await writeFile(path.join(home, 'config/users.yaml'), 'version: 1\nusers: { ci-pay: { service: true } }\n');
});

afterEach(() => rm(home, { recursive: true }));

const create = (owner: string, options: object = {}) =>
  run((terminal) => createToken(owner, { home, json: true, expires: '90d', ...options }, {}, terminal));

test('a token is made, listed without its secret, and revoked', async () => {
  const { code, stdout } = await create('ci-pay', { pull: ['acme/**'], from: ['10.0.0.0/8'] });
  assert.equal(code, 0);
  const made = JSON.parse(stdout);
  assert.deepEqual(Object.keys(made), ['id', 'token', 'expires']);
  assert.equal(parseServiceToken(made.token)?.id, made.id);
  const days = (Date.parse(made.expires) - Date.now()) / (24 * 60 * 60_000);
  assert.ok(Math.abs(days - 90) < 0.01);
  const listed = await run((terminal) => listTokens({ home, json: true }, {}, terminal));
  const [entry] = JSON.parse(listed.stdout);
  assert.deepEqual(
    [entry.id, entry.owner, entry.pull, entry.from, entry.lastUsed],
    [made.id, 'ci-pay', ['docker.io/acme/**'], ['10.0.0.0/8'], null],
  );
  assert.ok(!listed.stdout.includes(made.token.slice(18, 48)));
  const text = await run((terminal) => listTokens({ home, json: false }, {}, terminal));
  assert.match(
    text.stdout,
    new RegExp(
      `^ID .*\n${made.id} {2}token {2}ci-pay {2}\\S+Z {2}never +- +pull docker.io/acme/\\*\\*; from 10.0.0.0/8\n$`,
    ),
  );
  const revoke = () => run((terminal) => revokeToken(made.id, { home }, {}, terminal));
  assert.equal((await revoke()).code, 0);
  assert.deepEqual(await revoke(), {
    code: 1,
    stdout: '',
    stderr: `hubgate: there is no token ${made.id}\n`,
  });
  assert.equal((await run((terminal) => listTokens({ home, json: true }, {}, terminal))).stdout, '[]\n');
});

test('with a user their tokens go: somebody else may be given the name some day', async () => {
  await create('ci-pay');
  const remove = await run((terminal) => deleteUser('ci-pay', { home }, {}, terminal));
  assert.equal(remove.code, 0);
  assert.equal((await run((terminal) => listTokens({ home, json: true }, {}, terminal))).stdout, '[]\n');
});

test('what cannot be is said all at once, and nothing is made', async () => {
  const wrong = await create('ci-pay', { expires: 'soon', pull: ['Acme/x'], from: ['10.0.0.0/33'] });
  assert.equal(wrong.code, 2);
  assert.match(
    wrong.stderr,
    /"soon" is no duration.*\n.*names are in lower case.*\n.*"10\.0\.0\.0\/33" is no network/,
  );
  const nobody = await create('ci-pya');
  assert.deepEqual([nobody.code, nobody.stdout], [1, '']);
  assert.match(nobody.stderr, /there is no user ci-pya; for a service: hubgate user add ci-pya --service/);
  assert.equal((await run((terminal) => listTokens({ home, json: true }, {}, terminal))).stdout, '[]\n');
});

test('a token lives no longer than token.longest says', async () => {
  const longest = await create('ci-pay', { expires: '365d' });
  assert.equal(longest.code, 0);
  const endless = await create('ci-pay', { expires: '9999d' });
  assert.deepEqual([endless.code, endless.stdout], [2, '']);
  assert.match(
    endless.stderr,
    /^hubgate: --expires 9999d is longer than 365d, .* token\.longest in hubgate\.yaml/,
  );
  await writeFile(path.join(home, 'config/hubgate.yaml'), 'token: { longest: 36h }\n');
  assert.match((await create('ci-pay', { expires: '37h' })).stderr, /is longer than 36h, /);
  assert.equal((await create('ci-pay', { expires: '36h' })).code, 0);
});
