import assert from 'node:assert/strict';
import { chmod, copyFile, cp, mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { ask } from '../support/http.ts';
import { freePort } from '../support/test-hubgate.ts';
import { mustRun, type RunningProcess, run, startProcess } from './support/process.ts';

/**
 * No container engine that could build is part of the suite, so the Dockerfile's very steps are run in an empty folder
 * that stands for the image's root: each absolute path of the image is a path below it.
 */
const ROOT = path.join(import.meta.dirname, '../..');
/** The image's user "node". */
const USER = 1000;

interface Instruction {
  readonly name: string;
  readonly value: string;
}

let root: string;
/** A copy where the image's user can reach it, wherever the checkout lies. */
let node: string;
let instructions: Instruction[];

before(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'hubgate-image-'));
  await chmod(root, 0o755);
  node = path.join(root, 'node');
  await copyFile(process.execPath, node);
  await chmod(node, 0o755);
  const text = await readFile(path.join(ROOT, 'Dockerfile'), 'utf8');
  const lines = text
    .replace(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  instructions = lines.map((line) => {
    const [, name = '', value = ''] = /^(\w+)\s+(.+)$/.exec(line) ?? [];
    return { name, value };
  });
});

after(() => rm(root, { recursive: true, force: true }));

function inRoot(text: string): string {
  return text.replace(/(?<![\w.])\/(?=opt\b|hubgate\b)/g, `${root}/`);
}

function instruction(name: string): string {
  return instructions.findLast((one) => one.name === name)?.value ?? assert.fail(`no ${name}`);
}

async function build(): Promise<void> {
  let work = root;
  // The node that npm and the image's own commands find first is the one of this suite, of the image's major version.
  const env = { PATH: `${root}:${process.env.PATH}` };
  for (const { name, value } of instructions) {
    if (name === 'WORKDIR') {
      work = inRoot(value);
      await mkdir(work, { recursive: true });
    } else if (name === 'COPY') {
      const parts = value.split(/\s+/);
      const target = path.join(work, parts.pop() ?? '');
      for (const part of parts) {
        // Docker's COPY leaves out the directories of what it copies into one.
        const to = parts.length > 1 ? path.join(target, path.basename(part)) : target;
        await cp(path.join(ROOT, part), to, { recursive: true });
      }
    } else if (name === 'RUN') {
      await mustRun('sh', ['-c', `cd ${work} && ${inRoot(value)}`], { env });
    }
  }
}

test('the steps of the Dockerfile make what its command needs, without development dependencies', async () => {
  await build();
  assert.equal(instruction('FROM'), 'node:26-slim');
  assert.match(process.version, /^v26\./);
  const modules = await readdir(path.join(root, 'opt/hubgate/node_modules'));
  for (const wanted of ['koa', 'argon2', 'undici']) assert.ok(modules.includes(wanted), wanted);
  for (const unwanted of ['typescript', '@biomejs', 'knip', 'node', 'fast-check']) {
    assert.ok(!modules.includes(unwanted), unwanted);
  }
  for (const volume of JSON.parse(instruction('VOLUME')))
    assert.equal((await stat(inRoot(volume))).uid, USER, volume);
});

test('its command runs as a user without rights, is healthy, and ends when it is told', async () => {
  const [port, admin] = [await freePort(), await freePort()];
  const environment = {
    HUBGATE_SERVER_LISTEN: `:${port}`,
    HUBGATE_SERVER_ADMIN: `127.0.0.1:${admin}`,
    HUBGATE_SERVER_WORKERS: '1',
  };
  const [, ...entry] = JSON.parse(instruction('ENTRYPOINT'));
  const command = [...entry, ...JSON.parse(instruction('CMD'))].map(inRoot);
  assert.equal(instruction('USER'), `${USER}:${USER}`);
  const setpriv = ['--reuid', String(USER), '--regid', String(USER), '--clear-groups', node];
  const running: RunningProcess = await startProcess('setpriv', [...setpriv, ...command], {
    cwd: inRoot(instruction('WORKDIR')),
    env: environment,
    ready: (output) => output.includes('docker pull'),
  });
  assert.equal(
    (await ask({ tls: true, host: '127.0.0.1', port, path: '/v2/', rejectUnauthorized: false })).status,
    401,
  );

  const [, check = ''] = /CMD (\[.*\])$/.exec(instruction('HEALTHCHECK')) ?? [];
  const [, ...health] = JSON.parse(check).map((argument: string) => argument.replace(':9090', `:${admin}`));
  assert.equal((await run(process.execPath, health)).code, 0);

  await running.stop();
  assert.notEqual((await run(process.execPath, health)).code, 0);
});
