import assert from 'node:assert/strict';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { runVerb } from './support/terminal.ts';

const SHIPPED = path.join(import.meta.dirname, '../../config');

test('check refuses a federation without an audience, and warns of one that any project could satisfy', async (t) => {
  const home = await mkdtemp(path.join(tmpdir(), 'hubgate-check-'));
  t.after(() => rm(home, { recursive: true }));
  await cp(path.join(SHIPPED, 'access.yaml'), path.join(home, 'config/access.yaml'));
  const check = async (federation: string) => {
    await writeFile(path.join(home, 'config/hubgate.yaml'), `federation:\n  ci: ${federation}\n`);
    const { code, stderr } = await runVerb(['check', '--home', home]);
    return { code, stderr };
  };
  assert.deepEqual(await check('{ preset: github, audience: mirror.corp }'), { code: 0, stderr: '' });
  const open = await check('{ preset: github, audience: mirror.corp, subject: "${ref}" }');
  assert.equal(open.code, 0);
  assert.match(
    open.stderr,
    /^config\/hubgate\.yaml:2:\d+: any project of this issuer can have .* \(a warning\)$/m,
  );
  const without = await check('{ preset: github }');
  assert.equal(without.code, 2);
  assert.match(without.stderr, /"federation\.ci\.audience" is missing/);
});

test('check refuses a pattern that reaches across claims, and warns of subjects that nobody can have', async (t) => {
  const home = await mkdtemp(path.join(tmpdir(), 'hubgate-check-'));
  t.after(() => rm(home, { recursive: true }));
  await cp(path.join(SHIPPED, 'access.yaml'), path.join(home, 'config/access.yaml'));
  const config = 'federation:\n  ci: { preset: gitlab, audience: a, subject: "${ref}#${project_path}" }\n';
  await writeFile(path.join(home, 'config/hubgate.yaml'), config);
  const run = async (to: string, ...verb: string[]) => {
    const policy = `version: 1\nallow: [{ pull: acme/a, to: "${to}" }]\n...\n`;
    await writeFile(path.join(home, 'config/access.yaml'), policy);
    const { code, stderr } = await runVerb([...verb, '--home', home]);
    return { code, stderr };
  };
  const wide = await run('oidc:ci:ma*', 'check');
  assert.equal(wide.code, 2);
  assert.match(
    wide.stderr,
    /access\.yaml:2:\d+: "oidc:ci:ma\*": a wildcard could reach .* oidc:ci:…#…, so write/,
  );
  assert.deepEqual(await run('oidc:ci:main#acme/**', 'check'), { code: 0, stderr: '' });
  assert.match(
    (await run('oidc:ci:main', 'check')).stderr,
    /names "oidc:ci:main", but nobody can be called so/,
  );
  const unknown = await run('oidc:github:acme/**@refs/heads/main', 'check');
  assert.equal(unknown.code, 0);
  assert.match(unknown.stderr, /but hubgate\.yaml has no federation "github" \(a warning\)/);
  const explain = (who: string) => run('oidc:ci:main#acme/**', 'access', 'explain', who, 'acme/a');
  assert.equal((await explain('oidc:ci:main#acme/team/x')).code, 0);
  assert.equal((await explain('oidc:ci:main#x#acme/team/x')).code, 1);
  const nobody = await explain('oidc:ci:main');
  assert.equal(nobody.code, 2);
  assert.match(
    nobody.stderr,
    /^hubgate: "oidc:ci:main": nobody can be called so: subjects of ci are written/,
  );
  assert.equal((await run('oidc:ci:main#acme/**', 'access', 'who-can', 'acme/a')).code, 0);
});
