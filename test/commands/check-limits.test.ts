import assert from 'node:assert/strict';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { runVerb } from './support/terminal.ts';

const SHIPPED = path.join(import.meta.dirname, '../../config');

const LIMITS = `version: 1
limits:
  - { id: ci, to: authenticated, upstream: ghrc.io, pulls: 60/6h }
reserve:
  - { id: prod, upstream: docker.io, keep: 20%, for: "cert:prod-*" }
...
`;

test('check warns of limits of another upstream, and of limits that a registry in the place of the core cannot count', async (t) => {
  const home = await mkdtemp(path.join(tmpdir(), 'hubgate-check-'));
  t.after(() => rm(home, { recursive: true }));
  await cp(path.join(SHIPPED, 'access.yaml'), path.join(home, 'config/access.yaml'));
  await writeFile(path.join(home, 'config/access.yaml'), LIMITS);
  const check = async (config: string) => {
    await writeFile(path.join(home, 'config/hubgate.yaml'), config);
    const { code, stderr } = await runVerb(['check', '--home', home]);
    return { code, warnings: stderr.split('\n').filter((line) => line.startsWith('config/access.yaml:')) };
  };
  const other =
    'config/access.yaml:3:44: "ghrc.io" is no upstream of hubgate.yaml; did you mean "ghcr.io"? (a warning)';
  assert.deepEqual(await check('upstreams: { docker.io: {}, ghcr.io: {} }\n'), {
    code: 0,
    warnings: [other],
  });
  const { code, warnings } = await check('core: { url: "http://127.0.0.1:5000" }\n');
  assert.equal(code, 0);
  assert.deepEqual(
    warnings.flatMap((line) => /^.* (?=has no effect, because "core\.url")/.exec(line) ?? []),
    ['config/access.yaml:3:5: the limit "ci" ', 'config/access.yaml:5:5: the reserve "prod" '],
  );
});
