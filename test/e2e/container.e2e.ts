import assert from 'node:assert/strict';
import { access, chmod, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { freePort } from '../support/free-port.ts';
import { ask } from '../support/http.ts';
import { buildImage, type Image } from './support/image.ts';
import { mustRun, type RunningProcess, run, startProcess } from './support/process.ts';

/** The image's user "node". */
const USER = 1000;

let directory: string;
let image: Image;

before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-image-'));
  await chmod(directory, 0o755);
  image = await buildImage(directory);
});

after(() => rm(directory, { recursive: true, force: true }));

test('the steps of the Dockerfile make what its command needs, without development dependencies and npm', async () => {
  assert.equal(image.instruction('FROM'), 'node:26-slim');
  assert.match(process.version, /^v26\./);
  const modules = await readdir(path.join(image.root, 'opt/hubgate/node_modules'));
  for (const wanted of ['koa', 'argon2', 'undici']) assert.ok(modules.includes(wanted), wanted);
  for (const unwanted of ['typescript', '@biomejs', 'knip', 'node', 'fast-check']) {
    assert.ok(!modules.includes(unwanted), unwanted);
  }
  await assert.rejects(access(path.join(image.root, 'usr/local/lib/node_modules')));
  for (const name of [
    'config',
    'certs',
    'state',
    'data',
    'run/core',
    'run/auth',
    'run/gateway',
    'run/account',
    'log',
  ])
    assert.equal((await stat(path.join(image.root, 'hubgate', name))).uid, USER, name);
});

test('hubgate is a command in it', async () => {
  const bin = path.join(image.root, 'usr/local/bin');
  assert.match(
    await mustRun('hubgate', ['--version'], { env: { PATH: `${bin}:/usr/bin` } }),
    /^\d+\.\d+\.\d+/,
  );
});

test('its command runs as a user without rights, is healthy, and ends when it is told', async () => {
  const [port, admin] = [await freePort(), await freePort()];
  const environment = {
    HUBGATE_SERVER_LISTEN: `:${port}`,
    HUBGATE_SERVER_ADMIN: `127.0.0.1:${admin}`,
    HUBGATE_SERVER_WORKERS: '1',
  };
  const [, ...entry] = JSON.parse(image.instruction('ENTRYPOINT'));
  const command = [...entry, ...JSON.parse(image.instruction('CMD'))].map(image.inRoot);
  assert.equal(image.instruction('USER'), `${USER}:${USER}`);
  const node = path.join(image.root, 'usr/local/bin/node');
  const setpriv = ['--reuid', String(USER), '--regid', String(USER), '--clear-groups', node];
  const running: RunningProcess = await startProcess('setpriv', [...setpriv, ...command], {
    cwd: image.inRoot(image.instruction('WORKDIR')),
    env: environment,
    ready: (output) => output.includes('docker pull'),
  });
  assert.equal(
    (await ask({ tls: true, host: '127.0.0.1', port, path: '/v2/', rejectUnauthorized: false })).status,
    401,
  );

  const [, check = ''] = /CMD (\[.*\])$/.exec(image.instruction('HEALTHCHECK')) ?? [];
  const [, ...health] = JSON.parse(check).map((argument: string) => argument.replace(':9090', `:${admin}`));
  assert.equal((await run(process.execPath, health)).code, 0);

  await running.stop();
  assert.notEqual((await run(process.execPath, health)).code, 0);
});
