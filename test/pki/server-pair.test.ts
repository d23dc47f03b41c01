import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { ensureServerCertificate } from '../../src/pki/local-ca.ts';
import { examinePair } from '../../src/pki/server-pair.ts';
import { makeAuthority, type TestAuthority, type TestLeaf, type TestPair } from '../support/certificates.ts';

const DAY = 24 * 60 * 60 * 1000;
const LEAF: TestLeaf = {
  commonName: 'mirror.corp',
  altNames: [{ type: 2, value: 'mirror.corp' }],
  usage: { serverAuth: true },
};

let directory: string;
let root: TestAuthority;
let leaf: TestPair;
const at = (name: string) => path.join(directory, name);

before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-pair-'));
  root = makeAuthority('Corp root');
  leaf = root.issue(LEAF);
});

after(() => rm(directory, { recursive: true }));

async function examine(cert: string | Buffer, key: string | Buffer, clock = Date.now) {
  const server = { certificate: at('tls.crt'), key: at('tls.key') };
  await writeFile(server.certificate, cert);
  await writeFile(server.key, key);
  const problems = await examinePair({ server, ca: at('ca.crt'), clock });
  return problems.map(({ level, file, what, mend }) => `${level} ${path.basename(file)} ${what}; ${mend}`);
}

test('what clients can connect with has no problem: as files are made, with a chain, with text between', async () => {
  const key = createPrivateKey(leaf.key);
  const whole = `${leaf.cert}${root.cert}`;
  for (const [cert, pem] of [
    [whole, leaf.key],
    [whole, key.export({ type: 'pkcs8', format: 'pem' })],
    [whole.replaceAll('\n', '\r\n'), leaf.key],
    [`\uFEFF${whole}`, leaf.key],
    [`Certificate:\n  Data: x\n${whole}`, leaf.key],
    [`${leaf.key}${whole}`, `${leaf.key}${whole}`],
  ] as const)
    assert.deepEqual(await examine(cert, pem), []);
});

test('what the local CA has issued has no problem', async () => {
  const home = await mkdtemp(at('home-'));
  const pair = (name: string) => ({
    certificate: path.join(home, `${name}.crt`),
    key: path.join(home, `${name}.key`),
  });
  const options = { ca: pair('ca'), server: pair('server'), names: ['mirror.corp'], clock: Date.now };
  await ensureServerCertificate(options);
  const { server, ca, clock } = options;
  assert.deepEqual(await examinePair({ server, ca: ca.certificate, clock }), []);
});

test('a pair that no server starts with is said with its file and what to do, and without OpenSSL’s numbers', async () => {
  const key = createPrivateKey(leaf.key);
  const small = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey;
  const smallPem = small.export({ type: 'pkcs1', format: 'pem' }) as string;
  const ofSmall = makeAuthority('small', { key: smallPem });
  const encrypted = { cipher: 'aes-256-cbc', passphrase: 'x' };
  const der = new X509Certificate(leaf.cert).raw;
  const other = makeAuthority('other');
  const cases: readonly [what: RegExp, cert: string | Buffer, key: string | Buffer][] = [
    [/^unusable tls.crt is DER and not PEM; type: openssl x509 -inform der/, der, leaf.key],
    [/^unusable tls.crt is PKCS #7; /, '-----BEGIN PKCS7-----\nMII\n-----END PKCS7-----\n', leaf.key],
    [/^unusable tls.crt holds a private key and no certificate; exchange/, leaf.key, leaf.key],
    [/^unusable tls.crt holds no certificate in PEM; /, 'hello', leaf.key],
    [/line ends are written as \\n/, leaf.cert.replaceAll('\n', '\\n'), leaf.key],
    [
      /^unusable tls.crt is damaged: certificate 2/,
      `${leaf.cert}${root.cert.replace('MII', 'MIX')}`,
      leaf.key,
    ],
    [
      /^unusable tls.crt has the server’s certificate in place 2; put it first/,
      root.cert + leaf.cert,
      leaf.key,
    ],
    [
      /^unusable tls.key is encrypted, /,
      leaf.cert,
      key.export({ type: 'pkcs8', format: 'pem', ...encrypted }),
    ],
    [
      /^unusable tls.key is encrypted, /,
      leaf.cert,
      key.export({ type: 'pkcs1', format: 'pem', ...encrypted }),
    ],
    [/^unusable tls.key is DER and not PEM; /, leaf.cert, key.export({ type: 'pkcs8', format: 'der' })],
    [/^unusable tls.key holds no private key in PEM; /, leaf.cert, ''],
    [
      /^unusable tls.key holds a private key that cannot be read; /,
      leaf.cert,
      leaf.key.replace('MII', 'MIX'),
    ],
    [/^unusable tls.key is not the key of .*tls.crt; put the key there/, leaf.cert, other.key],
    [/^unusable tls.crt has a key of 1024 bits, and TLS needs 2048; /, ofSmall.cert, smallPem],
  ];
  for (const [expected, cert, pem] of cases) {
    const found = await examine(cert, pem);
    assert.equal(found.length, 1, `${expected}: ${found.join('\n')}`);
    assert.match(found[0] ?? '', expected);
    assert.doesNotMatch(found[0] ?? '', /error:[0-9A-F]{8}/);
  }
});

test('what clients refuse is told from what they may refuse', async () => {
  const chain = `${leaf.cert}${root.cert}`;
  assert.match(
    (await examine(chain, leaf.key, () => Date.now() + 2 * DAY))[0] ?? '',
    /^refused tls.crt has ended at .*; put a renewed one there/,
  );
  assert.match(
    (await examine(chain, leaf.key, () => Date.now() - 2 * DAY))[0] ?? '',
    /^refused tls.crt is not good before /,
  );
  const { altNames: _, ...nameless } = LEAF;
  const withoutNames = root.issue(nameless);
  assert.match(
    (await examine(`${withoutNames.cert}${root.cert}`, withoutNames.key))[0] ?? '',
    /^refused tls.crt has no subject alternative name/,
  );
  const shortLived = makeAuthority('Corp root', { key: root.key, to: new Date(Date.now() - 1000) });
  assert.match(
    (await examine(`${leaf.cert}${shortLived.cert}`, leaf.key))[0] ?? '',
    /^refused tls.crt holds a certificate \(CN=Corp root\) that has ended at /,
  );
  assert.deepEqual(
    (await examine(leaf.cert, leaf.key)).map((one) => one.replace(/;.*/, '')),
    ['doubtful tls.crt holds the server’s certificate alone: CN=Corp root issued it'],
  );
});
