import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { HelperProgram } from '../support/helper-program.ts';
import { RunningMirror } from '../support/running-mirror.ts';
import { StandInRegistry } from '../support/stand-in-registry.ts';

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
  assert.match(output, /check that proxy, the section egress and HTTPS_PROXY/);
  assert.doesNotMatch(mirror.output, new RegExp(PASSWORD));
  const pids = await mirror.pids();
  assert.equal(pids.length, 4);
  for (const pid of pids) {
    const [environment, args] = await Promise.all(
      ['environ', 'cmdline'].map((file) => readFile(`/proc/${pid}/${file}`, 'utf8')),
    );
    assert.doesNotMatch(`${environment}${args}`, /PROXY|s3cret/i);
  }
});

test('invariant 5: the variables of a credential helper reach it by way of the core, and no other process', async () => {
  await using registry = await StandInRegistry.start((_, usual) => ({
    ...usual,
    status: 401,
    headers: { 'www-authenticate': 'Basic realm="ecr"' },
  }));
  await using helper = await HelperProgram.write('env > $DIRECTORY/environment; echo "not now"; exit 1');
  await using mirror = await RunningMirror.start({
    environment: {
      PATH: helper.path,
      REGISTRY_PROXY_REMOTEURL: registry.url.origin,
      AWS_SECRET_ACCESS_KEY: 'aws-s3cret',
      OTHER_SECRET: 'other-s3cret',
    },
    config: `upstreams: { docker.io: { credentialHelper: test, credentialEnvironment: [AWS_SECRET_ACCESS_KEY] } }\n`,
  });
  for (const pid of await mirror.pids())
    assert.doesNotMatch(await readFile(`/proc/${pid}/environ`, 'utf8'), /s3cret/);
  await mirror.run('doctor');
  const given = await helper.read('environment');
  assert.match(given, /^AWS_SECRET_ACCESS_KEY=aws-s3cret$/m);
  assert.doesNotMatch(given, /other-s3cret/);
  assert.doesNotMatch(mirror.output, /aws-s3cret/);
});
