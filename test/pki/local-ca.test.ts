import assert from 'node:assert/strict';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { checkServerIdentity as checkIdentity, connect, type PeerCertificate } from 'node:tls';
import { issueCertificate } from '../../src/pki/certificate.ts';
import { ensureServerCertificate, type ServerCertificateOptions } from '../../src/pki/local-ca.ts';

const DAY = 24 * 60 * 60 * 1000;
const NAMES = ['mirror.corp', 'localhost', '127.0.0.1', '::1'];

let directory: string;
let options: ServerCertificateOptions;

before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-pki-'));
});

after(() => rm(directory, { recursive: true }));

beforeEach(async () => {
  const certs = await mkdtemp(path.join(directory, 'certs-'));
  const pair = (name: string) => ({
    certificate: path.join(certs, `${name}.crt`),
    key: path.join(certs, `${name}.key`),
  });
  options = { ca: pair('ca'), server: pair('server'), names: NAMES, clock: Date.now };
});

async function certificateAt(file: string): Promise<X509Certificate> {
  return new X509Certificate(await readFile(file));
}

test('an empty directory gets a CA and a server certificate that a TLS client accepts under every name', async (t) => {
  const ca = await ensureServerCertificate(options);
  assert.equal(ca, await readFile(options.ca.certificate, 'utf8'));
  const server = createServer({
    cert: await readFile(options.server.certificate),
    key: await readFile(options.server.key),
  });
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  for (const name of NAMES) {
    const checkServerIdentity = (_host: string, certificate: PeerCertificate) =>
      checkIdentity(name, certificate);
    const socket = connect({ port, host: '127.0.0.1', ca, servername: 'any.name', checkServerIdentity });
    await once(socket, 'secureConnect');
    socket.destroy();
  }
});

test('keys are for their owner alone', async () => {
  await ensureServerCertificate(options);
  for (const { key, certificate } of [options.ca, options.server]) {
    assert.equal((await stat(key)).mode & 0o777, 0o600, key);
    assert.equal((await stat(certificate)).mode & 0o777, 0o644, certificate);
  }
});

test('the CA can issue and nothing else; the server certificate can serve and not issue', async () => {
  await ensureServerCertificate(options);
  const ca = await certificateAt(options.ca.certificate);
  const server = await certificateAt(options.server.certificate);
  assert.equal(ca.ca, true);
  assert.equal(server.ca, false);
  assert.ok(server.checkIssued(ca));
  assert.deepEqual(server.keyUsage, ['1.3.6.1.5.5.7.3.1']);
  assert.match(server.publicKey.asymmetricKeyDetails?.namedCurve ?? '', /prime256v1/);
});

test('what fits is kept; names that are missing and an end that is near make a new one from the same CA', async () => {
  const ca = await ensureServerCertificate(options);
  const first = await readFile(options.server.certificate, 'utf8');
  await ensureServerCertificate(options);
  assert.equal(await readFile(options.server.certificate, 'utf8'), first);

  assert.equal(await ensureServerCertificate({ ...options, names: [...NAMES, 'hub.corp'] }), ca);
  const renamed = await certificateAt(options.server.certificate);
  assert.ok(renamed.checkHost('hub.corp'));

  await ensureServerCertificate({ ...options, clock: () => Date.now() + 368 * DAY });
  assert.notEqual((await certificateAt(options.server.certificate)).serialNumber, renamed.serialNumber);
});

test('a certificate from elsewhere is left alone, and no CA is made for it', async () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const own = issueCertificate({
    commonName: 'other',
    publicKey,
    issuer: { commonName: 'corporate CA', publicKey, privateKey },
    notBefore: new Date(),
    notAfter: new Date(Date.now() + DAY),
    use: { kind: 'server', names: ['elsewhere'] },
  });
  await writeFile(options.server.certificate, own);
  await writeFile(options.server.key, privateKey.export({ type: 'pkcs8', format: 'pem' }));
  assert.equal(await ensureServerCertificate(options), undefined);
  assert.equal(await readFile(options.server.certificate, 'utf8'), own);
  await assert.rejects(stat(options.ca.certificate), { code: 'ENOENT' });
});

test('a file that is no certificate, or a key that is another’s, is said by name', async () => {
  await writeFile(options.server.certificate, 'not a certificate');
  await writeFile(options.server.key, 'not a key');
  await assert.rejects(ensureServerCertificate(options), /server\.crt cannot be read as a certificate/);
  await rm(options.server.certificate);
  await rm(options.server.key);
  await ensureServerCertificate(options);
  await rm(options.server.certificate);
  await rm(options.server.key);
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  await writeFile(options.ca.key, other.export({ type: 'pkcs8', format: 'pem' }));
  await assert.rejects(ensureServerCertificate(options), /ca\.key is not the key of .*ca\.crt/);
});

test('invariant 19: a pair of which one file is missing is an error that names both, and nothing is written', async () => {
  for (const { certificate, key } of [options.server, options.ca]) {
    for (const [there, missing] of [
      [key, certificate],
      [certificate, key],
    ] as const) {
      await writeFile(there, 'somebody’s own');
      await assert.rejects(ensureServerCertificate(options), ({ message }: Error) =>
        message.startsWith(`${missing}: does not exist, and ${there} does; `),
      );
      assert.equal(await readFile(there, 'utf8'), 'somebody’s own');
      await assert.rejects(stat(missing), { code: 'ENOENT' });
      await rm(there);
    }
  }
});

test('invariant 19: a configured pair that is missing is not made', async () => {
  await assert.rejects(
    ensureServerCertificate({ ...options, isConfigured: true }),
    /server\.crt: does not exist, and neither does .*server\.key; correct tls\.certificate and tls\.key/,
  );
  for (const file of [options.server.certificate, options.server.key, options.ca.key])
    await assert.rejects(stat(file), { code: 'ENOENT' });
});

test('invariant 19: a certificate that is issued anew is for the key that is there', async () => {
  await ensureServerCertificate(options);
  const key = await readFile(options.server.key, 'utf8');
  const before = await readFile(options.server.certificate, 'utf8');
  await ensureServerCertificate({ ...options, names: [...NAMES, 'hub.corp'] });
  assert.equal(await readFile(options.server.key, 'utf8'), key);
  assert.notEqual(await readFile(options.server.certificate, 'utf8'), before);
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const brought = other.export({ type: 'pkcs8', format: 'pem' }) as string;
  await writeFile(options.server.key, brought);
  await assert.rejects(
    ensureServerCertificate({ ...options, names: [...NAMES, 'other.corp'] }),
    /server\.key is not the key of .*server\.crt/,
  );
  assert.equal(await readFile(options.server.key, 'utf8'), brought);
});

test('what a clock that was ahead has made is issued anew as soon as the clock is right', async () => {
  const ahead = () => Date.now() + 5 * 365 * DAY;
  await ensureServerCertificate({ ...options, clock: ahead });
  const [before, keys] = [
    await certificateAt(options.ca.certificate),
    await Promise.all([options.ca, options.server].map(({ key }) => readFile(key, 'utf8'))),
  ];
  await ensureServerCertificate(options);
  const [ca, server] = [
    await certificateAt(options.ca.certificate),
    await certificateAt(options.server.certificate),
  ];
  for (const { validFromDate, validToDate } of [ca, server]) {
    assert.ok(validFromDate.getTime() <= Date.now());
    assert.ok(validToDate.getTime() > Date.now() + 300 * DAY);
  }
  assert.ok(server.verify(ca.publicKey));
  // Whoever trusts the CA by its name and key goes on to do so, and a clock that is behind takes nothing
  // away.
  assert.equal(ca.subject, before.subject);
  assert.deepEqual(
    await Promise.all([options.ca, options.server].map(({ key }) => readFile(key, 'utf8'))),
    keys,
  );
  await ensureServerCertificate({ ...options, clock: () => 0 });
  assert.ok((await certificateAt(options.ca.certificate)).validToDate.getTime() >= ca.validToDate.getTime());
  await ensureServerCertificate(options);
  assert.ok((await certificateAt(options.server.certificate)).validToDate.getTime() > Date.now() + 300 * DAY);
});

test('a server certificate that is not good yet is issued anew, by an authority that has been good all the time', async () => {
  await ensureServerCertificate(options);
  await ensureServerCertificate({ ...options, clock: () => Date.now() + 380 * DAY });
  const ca = await readFile(options.ca.certificate, 'utf8');
  assert.ok((await certificateAt(options.server.certificate)).validFromDate.getTime() > Date.now());
  await ensureServerCertificate(options);
  assert.ok((await certificateAt(options.server.certificate)).validFromDate.getTime() <= Date.now());
  assert.equal(await readFile(options.ca.certificate, 'utf8'), ca);
});
