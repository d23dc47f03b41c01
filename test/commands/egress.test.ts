import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { RunningMirror } from '../support/running-mirror.ts';

const PASSWORD = 'pr0xy-s3cret';
const PROXY = 'http://127.0.0.1:1';
const ENVIRONMENT = {
  HTTPS_PROXY: `http://mirror:${PASSWORD}@127.0.0.1:1`,
  no_proxy: '.corp',
  REGISTRY_PROXY_REMOTEURL: 'https://hub.example',
};

test('start, check and doctor name the proxy, and its password is in no output and in no role’s environment', async () => {
  await using mirror = await RunningMirror.start({ environment: ENVIRONMENT });
  const named = `${PROXY} (HTTPS_PROXY), except for .corp`;
  assert.ok(mirror.output.includes(`proxy           ${named}`), mirror.output);
  assert.ok((await mirror.run('check')).output.includes(named));
  assert.equal(JSON.parse((await mirror.run('check', '--json')).output).proxy, named);
  const { output } = await mirror.run('doctor');
  assert.ok(output.includes(`hub.example: the proxy ${PROXY} cannot be reached: ECONNREFUSED`), output);
  assert.match(output, /see to that proxy, to the section egress and to HTTPS_PROXY/);
  assert.doesNotMatch(mirror.output, new RegExp(PASSWORD));
  const pids = await mirror.pids();
  assert.equal(pids.length, 3);
  for (const pid of pids) {
    const [environment, args] = await Promise.all(
      ['environ', 'cmdline'].map((file) => readFile(`/proc/${pid}/${file}`, 'utf8')),
    );
    assert.doesNotMatch(`${environment}${args}`, /PROXY|s3cret/i);
  }
});
