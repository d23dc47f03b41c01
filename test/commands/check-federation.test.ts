import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

const BIN = path.join(import.meta.dirname, '../../src/bin/hubgate.ts');
const SHIPPED = path.join(import.meta.dirname, '../../config');

test('check refuses a federation without an audience, and warns of one that any project could satisfy', async (t) => {
  const home = await mkdtemp(path.join(tmpdir(), 'hubgate-check-'));
  t.after(() => rm(home, { recursive: true }));
  await cp(path.join(SHIPPED, 'access.yaml'), path.join(home, 'config/access.yaml'));
  const check = async (federation: string) => {
    await writeFile(path.join(home, 'config/hubgate.yaml'), `federation:\n  ci: ${federation}\n`);
    const { status, stderr } = spawnSync(process.execPath, [BIN, 'check', '--home', home], {
      encoding: 'utf8',
      env: {},
    });
    return { status, stderr };
  };
  assert.deepEqual(await check('{ preset: github, audience: mirror.corp }'), { status: 0, stderr: '' });
  const open = await check('{ preset: github, audience: mirror.corp, subject: "${ref}" }');
  assert.equal(open.status, 0);
  assert.match(
    open.stderr,
    /^config\/hubgate\.yaml:2:\d+: any project of this issuer can have .* \(a warning\)$/m,
  );
  const without = await check('{ preset: github }');
  assert.equal(without.status, 2);
  assert.match(without.stderr, /"federation\.ci\.audience" is missing/);
});
