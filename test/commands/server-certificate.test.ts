import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { check } from '../../src/commands/check.ts';
import { doctor } from '../../src/commands/doctor/doctor.ts';
import { prepareHome } from '../../src/launch/prepare-home.ts';
import { makeAuthority } from '../support/certificates.ts';
import { run } from './support/terminal.ts';

const BIN = path.join(import.meta.dirname, '../../src/bin/hubgate.ts');

let home: string;
const at = (file: string) => path.join(home, file);

beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'hubgate-pair-'));
  await mkdir(at('config'));
  await mkdir(at('ssl'));
});

afterEach(() => rm(home, { recursive: true }));

function start() {
  const { HOME, PATH } = process.env;
  const env = { HOME, PATH };
  return spawnSync(process.execPath, [BIN, 'start', '--home', home], { env, encoding: 'utf8' });
}

const checked = () => run((terminal) => check({ home, json: false }, {}, terminal));

function examined() {
  const options = { home, json: false, image: 'library/alpine' };
  const context = { clock: Date.now, root: '/nonexistent', hub: [] };
  const environment = { HUBGATE_UPSTREAMS_DOCKER_IO_URL: 'http://127.0.0.1:1' };
  return run((terminal) => doctor(options, environment, terminal, context));
}

test('invariant 19: a typo in tls.certificate costs nobody a key: start, check and doctor name both files', async () => {
  const { cert, key } = makeAuthority('Corp root').issue({ commonName: 'mirror' });
  await writeFile(at('ssl/mirror.crt'), cert);
  await writeFile(at('ssl/mirror.key'), key, { mode: 0o600 });
  await writeFile(at('config/hubgate.yaml'), 'tls: { certificate: ssl/mirror.crtt, key: ssl/mirror.key }\n');
  const { status, stdout, stderr } = start();
  const said = /ssl\/mirror\.crtt: does not exist, and .*ssl\/mirror\.key does; put it there, or correct tls/;
  assert.equal(status, 2);
  assert.match(stderr, said);
  // Nothing is made before that, and no password is shown that nobody can use.
  assert.equal(stdout, '');
  // What Node has compiled of the program lies in run/.
  assert.deepEqual((await readdir(home)).filter((name) => name !== 'run').sort(), ['config', 'ssl']);
  assert.deepEqual(await readdir(at('config')), ['hubgate.yaml']);
  assert.equal(await readFile(at('ssl/mirror.key'), 'utf8'), key);
  assert.match((await checked()).stderr, said);
  assert.match((await examined()).stdout, /ssl\/mirror\.crtt does not exist, and .*ssl\/mirror\.key does/);
  // The verb that makes what is missing does not write over it either.
  await assert.rejects(
    run((terminal) => prepareHome({ home }, {}, terminal)),
    /does not exist, and /,
  );
  assert.equal(await readFile(at('ssl/mirror.key'), 'utf8'), key);
});

test('a configured pair that is missing is made by prepare, in certs/, and by nothing else', async () => {
  const configure = (directory: string) =>
    writeFile(
      at('config/hubgate.yaml'),
      `tls: { certificate: ${directory}/server.crt, key: ${directory}/server.key }\n`,
    );
  const prepared = () => run((terminal) => prepareHome({ home, role: 'gateway' }, {}, terminal));
  await configure('ssl');
  await assert.rejects(prepared(), /does not exist, and neither does/);
  await configure('certs/server');
  assert.match((await checked()).stderr, /certs\/server\/server\.crt: does not exist, and neither does/);
  await prepared();
  assert.doesNotMatch((await checked()).stderr, /server\.crt/);
});

test('a node of a cluster that makes a local CA says that all nodes need the same one, and only then', async () => {
  const prepared = () => run((terminal) => prepareHome({ home, role: 'gateway' }, {}, terminal));
  const cluster = 'cluster: { database: "postgres://hubgate@127.0.0.1:1/hubgate", node: n2 }\n';
  await writeFile(at('config/hubgate.yaml'), cluster);
  const said =
    'All nodes of a cluster need the same one: copy certs/ of the first node into the home of each';
  assert.ok((await prepared()).stdout.includes(said));
  assert.ok(!(await prepared()).stdout.includes(said));
  await rm(at('certs'), { recursive: true });
  await writeFile(at('config/hubgate.yaml'), '');
  assert.ok(!(await prepared()).stdout.includes(said));
});

test('check refuses a certificate that clients refuse, and warns of one that they may refuse', async () => {
  await writeFile(at('config/hubgate.yaml'), 'tls: { certificate: ssl/a.crt, key: ssl/a.key }\n');
  const authority = makeAuthority('Corp root');
  const names = [{ type: 2, value: 'mirror' }];
  for (const [altNames, expected, code] of [
    [undefined, /^ssl\/a\.crt: has no subject alternative name/m, 2],
    [names, /^ssl\/a\.crt: holds the server’s certificate alone: .* \(a warning\)$/m, 0],
  ] as const) {
    const leaf = { commonName: 'mirror', usage: { serverAuth: true }, ...(altNames && { altNames }) };
    const { cert, key } = authority.issue(leaf);
    await writeFile(at('ssl/a.crt'), cert);
    await writeFile(at('ssl/a.key'), key, { mode: 0o600 });
    await run((terminal) => prepareHome({ home, role: 'auth' }, {}, terminal));
    const { code: found, stderr } = await checked();
    assert.match(stderr, expected);
    assert.equal(found, code);
  }
});
