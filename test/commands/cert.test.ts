import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, test } from 'node:test';
import { issueCert } from '../../src/commands/cert/issue.ts';
import { listCerts } from '../../src/commands/cert/list.ts';
import { revokeCert } from '../../src/commands/cert/revoke.ts';
import type { ExitCode, Terminal } from '../../src/launch/terminal.ts';
import { makeAuthority, twinOf } from '../support/certificates.ts';
import { signingRequest } from '../support/signing-request.ts';

const DAY = 24 * 60 * 60 * 1000;

let home: string;
let terminal: Terminal & { readonly stdout: PassThrough; readonly stderr: PassThrough };

beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'hubgate-cert-'));
  terminal = { stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough() };
});

afterEach(() => rm(home, { recursive: true }));

function at(...names: string[]): string {
  return path.join(home, ...names);
}

function issue(name: string, more: { out?: string; days?: string; csr?: string } = {}): Promise<ExitCode> {
  return issueCert(name, { home, days: '365', out: at('out'), ...more }, {}, terminal);
}

function said(stream: PassThrough): string {
  let text = '';
  for (let chunk = stream.read(); chunk !== null; chunk = stream.read()) text += chunk;
  return text;
}

async function list() {
  said(terminal.stdout);
  assert.equal(await listCerts({ home, json: true }, {}, terminal), 0);
  return JSON.parse(said(terminal.stdout));
}

async function certificateAt(...names: string[]): Promise<X509Certificate> {
  return new X509Certificate(await readFile(at(...names)));
}

test('what is issued is a client’s certificate of the local CA, with its key, for docker to find', async () => {
  assert.equal(await issue('node-7', { days: '30' }), 0);
  assert.match(said(terminal.stdout), /^cert:node-7 until \d{4}-\d\d-\d\d, in .*out\n$/);
  assert.deepEqual((await readdir(at('out'))).sort(), ['ca.crt', 'client.cert', 'client.key']);
  const certificate = await certificateAt('out/client.cert');
  const ca = await certificateAt('out/ca.crt');
  assert.equal(ca.toString(), (await certificateAt('certs/ca.crt')).toString());
  assert.ok(certificate.checkIssued(ca) && certificate.verify(ca.publicKey));
  assert.equal(certificate.subject, 'CN=node-7');
  assert.deepEqual([certificate.ca, certificate.keyUsage], [false, ['1.3.6.1.5.5.7.3.2']]);
  assert.equal(certificate.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
  assert.ok(certificate.checkPrivateKey(createPrivateKey(await readFile(at('out/client.key')))));
  assert.equal((await stat(at('out/client.key'))).mode & 0o777, 0o600);
  assert.ok(certificate.validFromDate.getTime() < Date.now() - 60_000);
  assert.ok(Math.abs(certificate.validToDate.getTime() - Date.now() - 30 * DAY) < 60_000);
  const [listed, ...rest] = await list();
  assert.deepEqual(rest, []);
  const { issued, ...other } = listed;
  assert.ok(Math.abs(Date.parse(issued) - Date.now()) < 60_000);
  assert.deepEqual(other, {
    name: 'node-7',
    serial: certificate.serialNumber.toLowerCase(),
    fingerprint: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
    expires: certificate.validToDate.toISOString(),
    revoked: null,
  });
});

test('nothing is overwritten, and a CA that docker trusts there already is not taken for another', async () => {
  assert.equal(await issue('node-7'), 0);
  const before = await readFile(at('out/client.cert'), 'utf8');
  assert.equal(await issue('node-8'), 1);
  assert.match(said(terminal.stderr), /client\.cert is there already/);
  assert.equal(await readFile(at('out/client.cert'), 'utf8'), before);
  await rm(at('out/client.cert'));
  assert.equal(await issue('node-8'), 1);
  assert.match(said(terminal.stderr), /client\.key is there already/);
  await mkdir(at('trusted'));
  await writeFile(at('trusted/ca.crt'), await readFile(at('out/ca.crt')));
  assert.equal(await issue('node-8', { out: at('trusted') }), 0);
  await mkdir(at('other'));
  await writeFile(at('other/ca.crt'), makeAuthority('another').cert);
  assert.equal(await issue('node-9', { out: at('other') }), 1);
  assert.match(said(terminal.stderr), /ca\.crt is there already, and is another authority’s/);
  assert.deepEqual((await list()).map(({ name }: { name: string }) => name).sort(), ['node-7', 'node-8']);
});

test('a name or a number of days that cannot be is bad usage', async () => {
  for (const name of ['', '..', '-a', 'a/b', 'a b', 'spiffe://a/b', 'x'.repeat(65)])
    assert.equal(await issue(name), 2, name);
  for (const days of ['0', '826', '-1', '1.5', 'x', '']) assert.equal(await issue('a', { days }), 2, days);
  assert.equal(await issue(`N.o_d-e${'x'.repeat(57)}`, { days: '825' }), 0);
  assert.equal((await list()).length, 1);
});

test('a request from elsewhere is signed for the name that is said here, and its key stays there', async () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  await mkdir(at('out'));
  await writeFile(at('out/client.key'), 'theirs');
  await writeFile(at('node.csr'), signingRequest(privateKey));
  assert.equal(await issue('node-7', { csr: at('node.csr') }), 0);
  const certificate = await certificateAt('out/client.cert');
  assert.equal(certificate.subject, 'CN=node-7');
  assert.ok(certificate.checkPrivateKey(privateKey));
  assert.equal(await readFile(at('out/client.key'), 'utf8'), 'theirs');
  await writeFile(
    at('bad.csr'),
    signingRequest(privateKey, { signer: generateKeyPairSync('ed25519').privateKey }),
  );
  for (const csr of ['bad.csr', 'none.csr'])
    assert.equal(await issue('b', { csr: at(csr), out: at('b') }), 1);
  assert.match(said(terminal.stderr), /bad\.csr: its signature.*\n.*none\.csr: there is no such file/);
  assert.equal((await list()).length, 1);
});

test('certificates are revoked by name, all of them; by fingerprint, in either writing; and by file, from wherever', async () => {
  const revoke = (which: string) => revokeCert(which, { home }, {}, terminal);
  const revoked = async () =>
    (await list()).filter((one: { revoked: unknown }) => one.revoked !== null).length;
  for (const [name, out] of [
    ['a', '1'],
    ['a', '2'],
    ['b', '3'],
    ['c', '4'],
    ['d', '5'],
  ] as const)
    assert.equal(await issue(name, { out: at(out) }), 0);
  assert.equal(await revoke('a'), 0);
  assert.equal(await revoked(), 2);
  assert.equal(await revoke((await certificateAt('3/client.cert')).fingerprint256), 0);
  assert.equal(await revoked(), 3);
  assert.equal(await revoke(at('4/client.cert')), 0);
  assert.equal(await revoked(), 4);
  await writeFile(at('twin.pem'), twinOf(await readFile(at('5/client.cert'), 'utf8')));
  assert.equal(await revoke(at('twin.pem')), 0);
  assert.deepEqual([await revoked(), (await list()).length], [5, 5]);
  await writeFile(at('foreign.pem'), makeAuthority('another').issue({ commonName: 'far' }).cert);
  assert.equal(await revoke(at('foreign.pem')), 0);
  assert.deepEqual([await revoked(), (await list()).at(0).name], [6, 'far']);
  said(terminal.stdout);
  assert.equal(await revoke('b'), 0);
  assert.match(said(terminal.stdout), /is revoked already/);
  for (const which of ['nobody', at('1'), at('1/client.key'), '00'.repeat(32)])
    assert.equal(await revoke(which), 1, which);
});

test('invariant 19: without --out the directory is a new or an empty one, whatever the name is', async (t) => {
  const before = process.cwd();
  t.after(() => process.chdir(before));
  await mkdir(at('work/src'), { recursive: true });
  await writeFile(at('work/src/main.ts'), '');
  await mkdir(at('work/empty'));
  process.chdir(at('work'));
  const issueHere = (name: string) => issueCert(name, { home, days: '1' }, {}, terminal);
  assert.equal(await issueHere('src'), 1);
  assert.match(said(terminal.stderr), /^hubgate: \.\/src is there already, and is not empty; .*--out\n$/);
  assert.deepEqual(await readdir(at('work/src')), ['main.ts']);
  for (const name of ['empty', 'new']) {
    assert.equal(await issueHere(name), 0);
    assert.deepEqual((await readdir(at('work', name))).sort(), ['ca.crt', 'client.cert', 'client.key']);
    assert.equal(await issueHere(name), 1);
  }
});
