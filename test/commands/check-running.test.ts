import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { RunningMirror } from '../support/running-mirror.ts';
import { waitFor } from '../support/wait-for.ts';

const HOSTED = 'hosted: { namespaces: { "acme-internal/**": {} } }\n';
const POLICY = 'version: 1\nallow: [{ id: app, push: acme-internal/**, to: authenticated }]\n...\n';

test('check says why the running mirror refuses what is right beside a hubgate.yaml that it has not read', async () => {
  await using mirror = await RunningMirror.start({ workers: 1 });
  await writeFile(path.join(mirror.home, 'config/hubgate.yaml'), HOSTED, { mode: 0o600 });
  await writeFile(path.join(mirror.home, 'config/access.yaml'), POLICY, { mode: 0o600 });
  let output = '';
  await waitFor(async () => {
    output = (await mirror.run('check')).output;
    return output.includes('has refused');
  });
  assert.match(output, /access\.yaml:2:\d+: "acme-internal\/\*\*" is not hosted/);
  assert.match(output, /If hubgate\.yaml has changed since the mirror started, restart the mirror\./);
  assert.match(output, /hubgate\.yaml, access\.yaml and users\.yaml: nothing is wrong/);
});
