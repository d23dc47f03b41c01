import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { type Check, type Checked, runAll } from '../../../src/commands/doctor/checks.ts';
import { doctor } from '../../../src/commands/doctor/doctor.ts';
import { issueCertificate } from '../../../src/pki/certificate.ts';
import { ensureCa, ensureServerCertificate } from '../../../src/pki/local-ca.ts';
import { COMPILED, shareCompiled } from '../../support/compiled.ts';
import { FakeHub } from '../../support/fake-hub.ts';
import { freePort } from '../../support/free-port.ts';
import { makeFullFifo } from '../../support/full-fifo.ts';
import { ask } from '../../support/http.ts';
import { imageOf } from '../../support/image.ts';
import { ACCOUNT, handedOver } from '../../support/test-core.ts';
import { waitFor } from '../../support/wait-for.ts';
import { run } from '../support/terminal.ts';

const BIN = path.join(import.meta.dirname, '../../../src/bin/hubgate.ts');
const DAY = 24 * 60 * 60 * 1000;

let home: string;
let hub: FakeHub;
let mirror: ChildProcess | undefined;
let config: string;
let ports: { readonly listen: number; readonly admin: number };

const at = (file: string) => path.join(home, file);

before(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'hubgate-doctor-'));
  hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  hub.push('ratelimitpreview/test', 'latest', imageOf());
  ports = { listen: await freePort(), admin: await freePort() };
  config = [
    'server:',
    `  listen: 127.0.0.1:${ports.listen}`,
    `  admin: 127.0.0.1:${ports.admin}`,
    '  workers: 1',
    'cache: { maxSize: 64MiB }',
    'upstreams:',
    `  docker.io: { url: "${hub.url.origin}", username: ${ACCOUNT.username}, passwordFile: hub-token }`,
    '',
  ].join('\n');
  await mkdir(at('config'));
  await shareCompiled(home);
  await writeFile(at('config/hubgate.yaml'), config);
  await writeFile(at('hub-token'), ACCOUNT.password, { mode: 0o600 });
  await startMirror();
});

after(async () => {
  mirror?.kill('SIGKILL');
  await hub[Symbol.asyncDispose]();
  await rm(home, { recursive: true });
});

/** Known before it serves, so that it is ended whatever happens. */
async function startMirror(): Promise<void> {
  const { HOME, PATH } = process.env;
  mirror = spawn(process.execPath, [BIN, 'start', '--home', home], {
    env: { HOME, PATH, ...COMPILED },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const { stdout } = mirror;
  for await (const line of createInterface(stdout ?? assert.fail())) if (line.includes('docker pull')) break;
  stdout?.resume();
  assert.equal(mirror.exitCode, null);
}

async function stopMirror(): Promise<void> {
  const exit = mirror && once(mirror, 'exit');
  mirror?.kill('SIGTERM');
  await exit;
}

async function examine(clock = Date.now) {
  const options = { home, json: true, image: 'library/alpine' };
  const context = { clock, root: '/nonexistent', hub: [] };
  const { code, stdout } = await run((terminal) => doctor(options, {}, terminal, context));
  const { checks } = JSON.parse(stdout) as { checks: Checked[] };
  const findings = checks.flatMap((one) =>
    'findings' in one ? one.findings.map((finding) => ({ check: one.name, ...finding })) : [],
  );
  return { code, checks, findings };
}

async function rewrite(find: string | RegExp, replacement: string): Promise<() => Promise<void>> {
  const changed = config.replace(find, replacement);
  assert.notEqual(changed, config);
  await writeFile(at('config/hubgate.yaml'), changed);
  return () => writeFile(at('config/hubgate.yaml'), config);
}

/** Something else in the place of a file, until the returned function puts it back. */
async function replace(file: string, text: string): Promise<() => Promise<void>> {
  const original = await readFile(at(file));
  await writeFile(at(file), text);
  return () => writeFile(at(file), original);
}

async function otherAuthority(): Promise<string> {
  const directory = await mkdtemp(path.join(home, 'other-'));
  const files = { certificate: path.join(directory, 'ca.crt'), key: path.join(directory, 'ca.key') };
  await ensureCa(files, Date.now);
  const server = { certificate: path.join(directory, 'server.crt'), key: path.join(directory, 'server.key') };
  await ensureServerCertificate({ ca: files, server, names: ['localhost'], clock: Date.now });
  return directory;
}

test('secrets that the group may read are as a start accepts them', async () => {
  await chmod(at('hub-token'), 0o640);
  const { findings } = await examine();
  await chmod(at('hub-token'), 0o600);
  assert.deepEqual(findings, []);
});

test('on a healthy mirror one line says that nothing is wrong, and everything was looked at', async () => {
  const { code, checks, findings } = await examine();
  assert.deepEqual(findings, []);
  assert.equal(code, 0);
  assert.deepEqual(
    checks.map(({ name, outcome }) => `${name}: ${outcome}`),
    [
      'configuration',
      'roles',
      'upstreams',
      'credentials',
      'read-only credentials',
      'quota',
      'limits',
      'clock',
      'certificate and key',
      'certificate names',
      'certificate life',
      'certificate issuer',
      'file owners',
      'file modes',
      'cache writes',
      'room for the cache',
      'disk space',
      'inodes',
      'policy',
      'audit log',
      'users',
      'listeners',
    ].map((name) => `${name}: ok`),
  );
  const child = spawn(process.execPath, [BIN, 'doctor', '--home', home], { env: COMPILED });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
  assert.deepEqual(await once(child, 'close'), [0, null]);
  assert.equal(output, 'nothing found wrong (22 checks)\n');
});

test('an audit log that takes no lines is found while it does not', async () => {
  const found = async () =>
    (await examine()).findings.filter(({ check }) => check === 'audit log').map(({ what }) => what);
  const file = at('state/audit.log');
  await rename(file, at('state/audit.log.1'));
  await using reader = await makeFullFifo(file);
  mirror?.kill('SIGHUP');
  const ca = await readFile(at('certs/ca.crt'), 'utf8');
  const target = '/v2/library/alpine/manifests/latest';
  // The signal takes its time, and until then lines go into the old file.
  await waitFor(async () => {
    await ask({ tls: true, host: 'localhost', port: ports.listen, ca, path: target, agent: false });
    return (await found()).length > 0;
  });
  assert.deepEqual(await found(), ['cannot be written: lines are lost before long']);
  await rm(file);
  mirror?.kill('SIGHUP');
  await waitFor(async () => (await found()).length === 0);
  assert.match(await readFile(file, 'utf8'), /"action":"pull"/);
  assert.ok(reader.fd > 0);
});

type Undo = () => unknown;

/** Each is planted, found by one finding of one check, and taken away again. */
const FAULTS: readonly [
  fault: string,
  plant: () => Undo | Promise<Undo>,
  check: string,
  finding: RegExp,
  clock?: () => Promise<number>,
][] = [
  [
    'the upstream is down',
    async () => {
      await hub.stop();
      return () => hub.restart();
    },
    'upstreams',
    /^upstream docker\.io cannot be reached: 127\.0\.0\.1:\d+: ECONNREFUSED; check the network/,
  ],
  [
    'the credential is refused',
    () => {
      const [account] = hub.accounts.splice(0, 1, { ...ACCOUNT, password: 'another', repositories: [] });
      return () => account && hub.accounts.splice(0, 1, account);
    },
    'credentials',
    /^upstream docker\.io refuses the credential; make another access token/,
  ],
  [
    'the credential may push',
    () => {
      const [account] = hub.accounts.splice(0, 1, { ...ACCOUNT, repositories: [], mayPush: true });
      return () => account && hub.accounts.splice(0, 1, account);
    },
    'read-only credentials',
    /^upstream docker\.io lets the credential push.*; make a read-only access token/,
  ],
  [
    'the quota is gone',
    () => {
      hub.remaining = 0;
      return () => {
        hub.remaining = 100;
      };
    },
    'quota',
    /^upstream docker\.io has 0 of 100 pulls left in 6 h, for 192\.0\.2\.1; wait/,
  ],
  [
    'the clock is ten minutes off',
    () => {
      hub.ahead = -600_000;
      return () => {
        hub.ahead = 0;
      };
    },
    'clock',
    /^the clock is (?:599|60[0-9]) s ahead of that of docker\.io; set this machine’s clock by NTP/,
  ],
  [
    'the certificate ends soon',
    () => () => {},
    'certificate life',
    /^certs\/server\.crt ends in 19 days, at .*; start the mirror anew/,
    async () => {
      const { validToDate } = new X509Certificate(await readFile(at('certs/server.crt')));
      return validToDate.getTime() - 19.5 * DAY;
    },
  ],
  [
    'the certificate has not the URL’s name',
    () => rewrite('server:\n', `server:\n  url: https://mirror.corp:${ports.listen}\n`),
    'certificate names',
    /^certs\/server\.crt is not good for mirror\.corp; start the mirror anew/,
  ],
  [
    'the key is another certificate’s',
    async () => replace('certs/server.key', await readFile(at('certs/ca.key'), 'utf8')),
    'certificate and key',
    /^certs\/server\.key is not the key of certs\/server\.crt; /,
  ],
  [
    'the CA is another than that of the certificate',
    async () => replace('certs/ca.crt', await readFile(path.join(await otherAuthority(), 'ca.crt'), 'utf8')),
    'certificate issuer',
    /^certs\/server\.crt is not signed by certs\/ca\.crt/,
  ],
  [
    'a key can be read by everybody',
    async () => {
      await chmod(at('certs/server.key'), 0o644);
      return () => chmod(at('certs/server.key'), 0o600);
    },
    'file modes',
    /^certs\/server\.key has mode 0644: others may read or write it; chmod 0640 certs\/server\.key/,
  ],
  [
    'the secret file of the upstream can be written by its group',
    async () => {
      await chmod(at('hub-token'), 0o660);
      return () => chmod(at('hub-token'), 0o600);
    },
    'file modes',
    /^hub-token has mode 0660: its group may write it; chmod 0640 hub-token/,
  ],
  [
    'the key of logins can be read by everybody',
    async () => {
      await writeFile(at('state/login.key'), 'x', { mode: 0o644 });
      return () => rm(at('state/login.key'));
    },
    'file modes',
    /^state\/login\.key has mode 0644: others may read or write it; chmod 0640 state\/login\.key/,
  ],
  [
    'what the supervisor has compiled can be written by everybody',
    async () => {
      await mkdir(at('run/supervisor'), { recursive: true });
      await chmod(at('run/supervisor'), 0o777);
      return () => chmod(at('run/supervisor'), 0o750);
    },
    'file modes',
    /^run\/supervisor has mode 0777: /,
  ],
  [
    'the disk is too small',
    () => rewrite('64MiB', '999999TiB'),
    'room for the cache',
    /^data lies on a disk that is too small: cache\.maxSize is 999999\.0 TiB/,
  ],
  [
    'the cache cannot be written',
    async () => {
      await rename(at('data/partial'), at('data/partial.away'));
      await writeFile(at('data/partial'), 'in the way');
      const digest = `sha256:${randomBytes(32).toString('hex')}`;
      const target = `library/alpine/blobs/${digest}`;
      await ask({ socketPath: at('run/core/core.sock'), ...handedOver(target, 'private') });
      return async () => {
        await rm(at('data/partial'));
        await rename(at('data/partial.away'), at('data/partial'));
      };
    },
    'cache writes',
    /^data cannot be written \(ENOTDIR: .*\): pulls go on, but nothing is cached; make room/,
  ],
  [
    'the policy is refused',
    async () => replace('config/access.yaml', 'version: 1\nallow:\n  - { pull: $none, to: ana }\n...\n'),
    'policy',
    /^config\/access\.yaml is refused: config\/access\.yaml:3:\d+: .*; the last good one holds; mend it/,
  ],
  [
    'another program has the port',
    () => rewrite(`127.0.0.1:${ports.listen}`, `127.0.0.1:${hub.url.port}`),
    'listeners',
    /^server\.listen \(port \d+\) is taken by another program.*; find out who has the port/,
  ],
  [
    'nobody listens',
    async () => rewrite(`127.0.0.1:${ports.listen}`, `127.0.0.1:${await freePort()}`),
    'listeners',
    /^server\.listen \(port \d+\) has nobody who listens, while the mirror runs; /,
  ],
  [
    'the admin listener is everybody’s',
    () => rewrite(`127.0.0.1:${ports.admin}`, `0.0.0.0:${ports.admin}`),
    'listeners',
    /^server\.admin \(port \d+\) listens on 0\.0\.0\.0, where others can reach it; bind it to 127\.0\.0\.1/,
  ],
  [
    'the configuration is wrong',
    () => rewrite('maxSize', 'maxsize'),
    'configuration',
    /^the configuration config\/hubgate\.yaml:5:\d+: unknown key "cache\.maxsize"/,
  ],
];

for (const [fault, plant, check, finding, moment] of FAULTS)
  test(`found, and nothing else: ${fault}`, async () => {
    const undo = await plant();
    try {
      const now = await moment?.();
      const { code, findings } = await examine(now === undefined ? Date.now : () => now);
      assert.equal(findings.length, 1, JSON.stringify(findings, undefined, 2));
      const [found] = findings;
      assert.match(`${found?.where} ${found?.what}; ${found?.mend}`, finding);
      assert.deepEqual([found?.check, found?.level, code], [check, 'wrong', 1]);
    } finally {
      await undo();
    }
    // The mirror has followed its files on the way, and is back within a second.
    await waitFor(async () => (await examine()).findings.length === 0);
  });

test('of a certificate that a company brought, only the names that clients type are expected', async () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const certificate = issueCertificate({
    commonName: 'localhost',
    publicKey,
    issuer: { commonName: 'Acme CA', publicKey, privateKey },
    notBefore: new Date(Date.now() - DAY),
    notAfter: new Date(Date.now() + 90 * DAY),
    use: { kind: 'server', names: ['localhost'] },
  });
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  const undo = [await replace('certs/server.crt', certificate), await replace('certs/server.key', key)];
  const { checks } = await examine();
  for (const back of undo) await back();
  assert.deepEqual(
    checks
      .filter(({ name }) => name.startsWith('certificate'))
      .map(({ name, outcome }) => `${name}: ${outcome}`),
    // Its authority may be an intermediate one, whose certificate clients would miss.
    ['certificate and key: unknown', ...['names', 'life', 'issuer'].map((name) => `certificate ${name}: ok`)],
  );
  // The mirror serves again what it served before.
  await waitFor(async () => (await examine()).findings.length === 0);
});

test('what the upstream’s token service does not say is not known, and not wrong', async () => {
  hub.plant('token', /./, { kind: 'status', status: 200, body: JSON.stringify({ token: 'opaque' }) });
  hub.plant(
    'registry',
    /^GET \/v2\/$/,
    {
      kind: 'status',
      status: 401,
      headers: { 'www-authenticate': hub.challenge('') },
    },
    1,
  );
  hub.plant('registry', /^GET \/v2\/$/, { kind: 'status', status: 200 }, 1);
  const { code, findings } = await examine();
  hub.heal();
  assert.deepEqual(
    findings.map(({ check, level }) => [check, level]),
    [['read-only credentials', 'unknown']],
  );
  assert.equal(code, 0);
});

test('a check that never ends, or fails, is said to be unknown, and holds up nothing', async () => {
  const checks: Check[] = [
    { name: 'a', look: () => new Promise(() => {}) },
    { name: 'b', look: () => Promise.reject(new Error('EACCES')) },
    { name: 'c', look: async () => ({ findings: [] }) },
  ];
  const checked = await runAll(checks, 20);
  assert.deepEqual(
    checked.map(({ outcome }) => outcome),
    ['unknown', 'unknown', 'ok'],
  );
  const whats = checked.flatMap((one) => ('findings' in one ? one.findings.map(({ what }) => what) : []));
  assert.deepEqual(whats, [
    'could not be looked at: took longer than 0.02 s',
    'could not be looked at: EACCES',
  ]);
});

test('where the mirror does not run that is what is wrong, and upstreams are asked from here', async (t) => {
  await stopMirror();
  const { findings, code } = await examine();
  assert.deepEqual(
    findings.map(({ check }) => check),
    ['roles'],
  );
  assert.match(findings[0]?.what ?? '', /^has no mirror that runs/);
  assert.equal(code, 1);
  const [account] = hub.accounts.splice(0, 1, { ...ACCOUNT, repositories: [], mayPush: true });
  assert.deepEqual(
    (await examine()).findings.map(({ check }) => check),
    ['roles', 'read-only credentials'],
  );
  if (account !== undefined) hub.accounts.splice(0, 1, account);
  const squatter: Server = createServer().listen(ports.listen, '127.0.0.1');
  t.after(() => squatter.close());
  await once(squatter, 'listening');
  assert.deepEqual(
    (await examine()).findings.map(({ check }) => check),
    ['roles', 'listeners'],
  );
});
