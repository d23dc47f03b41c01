import assert from 'node:assert/strict';
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, type TestContext, test } from 'node:test';
import { COMPILED, shareCompiled } from '../support/compiled.ts';
import { FakeHub } from '../support/fake-hub.ts';
import { freePort } from '../support/free-port.ts';
import { ask } from '../support/http.ts';
import { imageOf } from '../support/image.ts';
import { scrape } from '../support/scrape.ts';
import { ACCOUNT } from '../support/test-core.ts';
import { basic } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';
import { runVerb } from './support/terminal.ts';

const BIN = path.join(import.meta.dirname, '../../src/bin/hubgate.ts');
const ROLE_BIN = path.join(import.meta.dirname, '../../src/bin/role.ts');

let home: string;

beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'hubgate-home-'));
  process.chdir(home);
});

afterEach(() => {
  process.chdir(import.meta.dirname);
  return rm(home, { recursive: true });
});

function hubgate(args: string[], environment: Record<string, string> = {}): ChildProcessWithoutNullStreams {
  const { HOME, PATH } = process.env;
  const env = { HOME, PATH, ...COMPILED, ...environment };
  return spawn(process.execPath, [BIN, ...args], { cwd: home, env });
}

const run = (args: string[], { stdin = '' } = {}) => runVerb(args, { typed: stdin });

async function ended(child: ChildProcessWithoutNullStreams) {
  const exit = once(child, 'exit');
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = await exit;
  return { code, stdout, stderr };
}

test('users are added, listed, given another password and removed', async () => {
  const adding = hubgate(['user', 'add', 'ana', '--password-stdin']);
  adding.stdin.end('s3cret-of-ana\n');
  const added = await ended(adding);
  assert.deepEqual(added, {
    code: 0,
    stdout: 'ana is added; a running mirror knows within a second\n',
    stderr: '',
  });
  assert.equal((await run(['user', 'add', 'jin', '--password-stdin'], { stdin: 'another-one' })).code, 0);
  assert.equal(
    (await run(['user', 'list'])).stdout,
    'NAME  KIND    STATE\nana   person  active\njin   person  active\n',
  );
  assert.deepEqual(JSON.parse((await run(['user', 'list', '--json'])).stdout), [
    { name: 'ana', service: false, disabled: false },
    { name: 'jin', service: false, disabled: false },
  ]);
  const before = await readFile(path.join(home, 'config/users.yaml'), 'utf8');
  assert.equal(
    (await run(['user', 'passwd', 'ana', '--password-stdin'], { stdin: 'a-new-password' })).code,
    0,
  );
  assert.notEqual(await readFile(path.join(home, 'config/users.yaml'), 'utf8'), before);
  assert.equal((await run(['user', 'remove', 'ana'])).code, 0);
  assert.equal((await run(['user', 'list'])).stdout, 'NAME  KIND    STATE\njin   person  active\n');
  assert.ok(!before.includes('s3cret'));
});

test('what cannot be done with users is refused with its reason', async () => {
  await run(['user', 'add', 'ana', '--password-stdin'], { stdin: 's3cret-of-ana' });
  const cases: [args: string[], stdin: string, code: number, message: RegExp][] = [
    [['user', 'add', 'ana', '--password-stdin'], 'x', 1, /^hubgate: ana is there already/],
    [['user', 'add', 'a/b', '--password-stdin'], 'x', 2, /^hubgate: "a\/b" is no user name: letters, digits/],
    [['user', 'add', 'bo', '--password-stdin'], '\n', 2, /^hubgate: the password on standard input is empty/],
    [
      ['user', 'add', 'bo', '--password-stdin'],
      'x\n',
      2,
      /is too short: it must have at least 10 characters/,
    ],
    [['user', 'add', 'bo', '--password-stdin'], '🦄'.repeat(9), 2, /is too short/],
    [['user', 'passwd', 'ana', '--password-stdin'], '123456789', 2, /is too short/],
    [['user', 'add', 'bo', '--password-stdin'], 'x'.repeat(1025), 2, /is too long: it may have at most 1024/],
    [
      ['user', 'add', 'bo'],
      '',
      2,
      /^hubgate: there is no terminal to ask on; give the password with --password-stdin/,
    ],
    [['user', 'passwd', 'bo', '--password-stdin'], 'x', 1, /^hubgate: there is no user bo/],
    [['user', 'remove', 'bo'], '', 1, /^hubgate: there is no user bo/],
    [['user'], '', 2, /Usage: hubgate user/],
    [['nonsense'], '', 2, /unknown command 'nonsense'/],
    [['start', '--role', 'x'], '', 2, /Allowed choices are core, auth, gateway/],
  ];
  for (const [args, stdin, code, message] of cases) {
    const result = await run(args, { stdin });
    assert.match(result.stderr, message, args.join(' '));
    assert.equal(result.code, code, args.join(' '));
  }
});

test('check finds every error in the three files at once', async () => {
  await mkdir(path.join(home, 'config'));
  await writeFile(
    path.join(home, 'config/hubgate.yaml'),
    'server: { prt: 1 }\ncache: { tagFreshness: soon }\n',
  );
  await writeFile(
    path.join(home, 'config/access.yaml'),
    'version: 1\nallow:\n  - { pull: $none, to: ana }\n...\n',
  );
  await writeFile(path.join(home, 'config/users.yaml'), 'version: 1\nusers: { a/b: {} }\n', { mode: 0o600 });
  const { code, stderr } = await run(['check']);
  assert.equal(code, 2);
  assert.deepEqual(
    stderr
      .trimEnd()
      .split('\n')
      .map((line) => line.split(' ')[0]),
    [
      'config/access.yaml:3:13:',
      'config/hubgate.yaml:1:11:',
      'config/hubgate.yaml:2:24:',
      'config/users.yaml:2:10:',
      'config/users.yaml:2:10:',
    ],
  );
  const { faults } = JSON.parse((await run(['check', '--json'])).stdout);
  assert.deepEqual(faults[0], {
    source: 'config/access.yaml',
    line: 3,
    column: 13,
    message: 'there is no set "none"; there is none',
  });
  assert.equal((await ended(hubgate(['start']))).code, 2);
});

/** Starts the whole mirror, and resolves when it has said that it runs. */
async function startMirror(t: TestContext, environment: Record<string, string>) {
  await shareCompiled(home);
  const child = hubgate(['start'], environment);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
  const exit = once(child, 'exit');
  t.after(() => child.kill('SIGKILL'));
  await Promise.race([waitFor(() => output.includes('docker pull')), exit]);
  return {
    pid: child.pid ?? 0,
    output: () => output,
    hangUp: () => child.kill('SIGHUP'),
    stop: async () => {
      child.kill('SIGTERM');
      return (await exit)[0];
    },
  };
}

test('a first start makes what is missing and shows a password once; a second keeps it all; both serve and end', async (t) => {
  const hub = await FakeHub.start();
  t.after(() => hub[Symbol.asyncDispose]());
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  hub.push('library/alpine', 'latest', imageOf());
  const port = await freePort();
  const environment = {
    HUBGATE_SERVER_LISTEN: `127.0.0.1:${port}`,
    HUBGATE_SERVER_ADMIN: '127.0.0.1:0',
    HUBGATE_SERVER_WORKERS: '2',
    REGISTRY_PROXY_REMOTEURL: hub.url.origin,
    REGISTRY_PROXY_USERNAME: ACCOUNT.username,
    REGISTRY_PROXY_PASSWORD: ACCOUNT.password,
  };

  const first = await startMirror(t, environment);
  const password =
    /The user admin has the password {2}(\S+)/.exec(first.output())?.[1] ?? assert.fail(first.output());
  assert.match(
    first.output(),
    new RegExp(`docker login localhost:${port} -u admin\n {2}docker pull localhost:${port}/library/alpine`),
  );
  assert.match(first.output(), /certs\/ca\.crt\n.*SHA-256 +(?:[0-9A-F]{2}:){31}[0-9A-F]{2}/);
  const ca = await readFile(path.join(home, 'certs/ca.crt'), 'utf8');
  const pull = () =>
    ask({
      tls: true,
      host: 'localhost',
      port,
      ca,
      agent: false,
      path: '/v2/library/alpine/manifests/latest',
      headers: { authorization: basic('admin', password) },
    });
  assert.equal((await pull()).status, 200);
  assert.ok(hub.log.some(({ headers }) => headers.authorization?.startsWith('Basic ')));

  first.hangUp();
  await waitFor(() => first.output().includes('users, access policy and signing key read anew'));
  assert.equal((await pull()).status, 200);
  // It was in the home before, and it says what the running core knows.
  const explained = await run(['access', 'explain', 'admin', 'alpine', '--json']);
  const { decision, rule, visibility } = JSON.parse(explained.stdout);
  assert.deepEqual([decision, rule, visibility], ['allow', 'public', 'public']);

  const stats = JSON.parse((await run(['cache', 'stats', '--json'])).stdout);
  assert.deepEqual([stats.blobs, stats.repositories, stats.unwritten], [1, 1, 0]);
  assert.match(
    (await run(['cache', 'list'])).stdout,
    /^REPOSITORY +VISIBILITY {2}TAGS {2}DIGESTS\ndocker\.io\/library\/alpine {2}public {6}1 {5}1\n$/,
  );
  const upstream = await run(['upstream']);
  assert.equal(upstream.code, 0, upstream.stderr);
  assert.match(
    upstream.stdout,
    /^docker\.io\n {2}reachable {3}in \d+ ms\n {2}credential {2}accepted\n {2}quota {7}\d+ of 100 pulls in 6 h/,
  );
  assert.match(
    (await run(['cache', 'purge', 'alpine:latest'])).stdout,
    /^purged: digests: 1 {2}content: \d+ bytes$/m,
  );
  assert.equal(JSON.parse((await run(['cache', 'stats', '--json'])).stdout).blobs, 0);
  assert.match(
    (await run(['cache', 'purge', 'ghcr.io/x/y'])).stderr,
    /no repository of a configured upstream/,
  );
  assert.equal((await pull()).status, 200);
  const warmed = await run(['warm', 'alpine', '--json']);
  assert.deepEqual([warmed.code, JSON.parse(warmed.stdout).bytes > 1000], [0, true], warmed.stderr);
  assert.equal(await first.stop(), 0);

  assert.deepEqual((await readdir(home)).sort(), ['certs', 'config', 'data', 'run', 'state']);
  for (const secret of ['certs/ca.key', 'certs/server.key', 'state/signing-key.pem', 'config/users.yaml']) {
    assert.equal((await stat(path.join(home, secret))).mode & 0o777, 0o600, secret);
  }
  await hub.stop();
  await rm(path.join(home, 'config/access.yaml'));
  const second = await startMirror(t, environment);
  assert.doesNotMatch(second.output(), /password/);
  // A policy that is gone is no fresh install: what held goes on to hold, and the one that is shipped is not
  // put there.
  assert.match(second.output(), /there is no policy.*access policy refused; the last good one holds/);
  assert.deepEqual((await readdir(path.join(home, 'config'))).sort(), ['access.schema.json', 'users.yaml']);
  assert.equal((await pull()).status, 200);
  assert.equal(await second.stop(), 0);
});

test('Ctrl-C and SIGTERM while it starts end it in good order', async (t) => {
  await shareCompiled(home);
  const [port, hub] = [await freePort(), 'http://127.0.0.1:1'];
  const child = hubgate(['start'], {
    HUBGATE_SERVER_LISTEN: `127.0.0.1:${port}`,
    HUBGATE_SERVER_ADMIN: '127.0.0.1:0',
    HUBGATE_SERVER_WORKERS: '2',
    REGISTRY_PROXY_REMOTEURL: hub,
  });
  t.after(() => child.kill('SIGKILL'));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
  await waitFor(() => output.includes('First start.'));
  child.kill('SIGTERM');
  assert.deepEqual(await once(child, 'exit'), [0, null]);
  assert.doesNotMatch(output, /docker pull|Error/);
});

test('a first start names the home in its advice only if a command would work on another one', async (t) => {
  const usual = hubgate(['start'], {
    HUBGATE_HOME: path.join(home, 'usual'),
    HUBGATE_SERVER_LISTEN: '127.0.0.1:0',
    HUBGATE_SERVER_ADMIN: '127.0.0.1:0',
  });
  t.after(() => usual.kill('SIGKILL'));
  let output = '';
  usual.stdout.on('data', (chunk) => (output += chunk));
  await waitFor(() => output.includes('passwd admin'));
  usual.kill('SIGTERM');
  assert.match(output, /: npx hubgate user passwd admin$/m);
  assert.deepEqual(await once(usual, 'exit'), [0, null]);
  const named = path.join(home, 'named');
  const { stdout } = await run(['prepare', '--home', named]);
  assert.ok(stdout.includes(`: npx hubgate --home ${named} user passwd admin\n`), stdout);
});

test('two gateways are scraped as one, and what one of them counted outlives it', async (t) => {
  const hub = await FakeHub.start();
  t.after(() => hub[Symbol.asyncDispose]());
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  const [port, adminPort] = [await freePort(), await freePort()];
  // Of a start before this one: that is over.
  const metric = { name: 'hubgate_requests_total', help: 'x', type: 'counter', aggregator: 'sum' };
  const values = [{ value: 1000, labels: { kind: 'ping', method: 'GET', status: '4xx' } }];
  await mkdir(path.join(home, 'run/gateway'), { recursive: true });
  for (const number of [1, 2])
    await writeFile(
      path.join(home, `run/gateway/gateway-${number}.json`),
      JSON.stringify({ start: 'another', counted: [{ ...metric, values }] }),
    );
  const mirror = await startMirror(t, {
    HUBGATE_SERVER_LISTEN: `127.0.0.1:${port}`,
    HUBGATE_SERVER_ADMIN: `127.0.0.1:${adminPort}`,
    HUBGATE_SERVER_WORKERS: '2',
    REGISTRY_PROXY_REMOTEURL: hub.url.origin,
    REGISTRY_PROXY_USERNAME: ACCOUNT.username,
    REGISTRY_PROXY_PASSWORD: ACCOUNT.password,
  });
  const ca = await readFile(path.join(home, 'certs/ca.crt'), 'utf8');
  const ping = () => ask({ tls: true, host: 'localhost', port, ca, agent: false, path: '/v2/' });
  const counted = async () => (await scrape(adminPort)).value('hubgate_requests_total', { kind: 'ping' });
  // Connections go to one gateway after the other, and so do scrapes: whoever is asked says the same.
  for (let asked = 1; asked <= 8; asked++) {
    assert.equal((await ping()).status, 401);
    await waitFor(async () => (await counted()) === asked);
  }
  for (let scraped = 0; scraped < 4; scraped++) assert.equal(await counted(), 8);
  const of = async (number: number) => {
    const kept = JSON.parse(await readFile(path.join(home, `run/gateway/gateway-${number}.json`), 'utf8'));
    const { values } = kept.counted.find(({ name }: { name: string }) => name === 'hubgate_requests_total');
    return values.reduce((sum: number, { value }: { value: number }) => sum + value, 0);
  };
  assert.equal((await of(1)) + (await of(2)), 8);
  assert.ok((await of(1)) > 0 && (await of(2)) > 0);

  const gateways = (await readFile(`/proc/${mirror.pid}/task/${mirror.pid}/children`, 'utf8'))
    .trim()
    .split(' ');
  const commands = await Promise.all(
    gateways.map(async (pid) => [pid, await readFile(`/proc/${pid}/cmdline`, 'utf8')] as const),
  );
  const [victim] = commands.find(([, command]) => command.includes('gateway')) ?? assert.fail();
  process.kill(Number(victim), 'SIGKILL');
  // Before it is started again, while it is, and after: the sum never falls.
  await waitFor(async () => {
    const now = await scrape(adminPort).catch(() => undefined);
    if (now === undefined) return false;
    assert.equal(now.value('hubgate_requests_total', { kind: 'ping' }), 8);
    assert.equal(now.value('hubgate_gateways'), 2);
    return mirror.output().includes('a role ended') && now.value('hubgate_gateways_up') === 2;
  });
  for (let asked = 9; asked <= 10; asked++) {
    assert.equal((await ping()).status, 401);
    await waitFor(async () => (await counted()) === asked);
  }
  assert.equal(await mirror.stop(), 0);
});

test('a role is not started by hand', async () => {
  for (const args of [[], ['--role', 'core', '--home', home], ['--role', 'nonsense', '--home', home]]) {
    const { code, stdout, stderr } = await ended(spawn(process.execPath, [ROLE_BIN, ...args], { cwd: home }));
    const message = 'hubgate: this is a part of hubgate start, and is started by it\n';
    assert.deepEqual({ code, stdout, stderr }, { code: 2, stdout: '', stderr: message });
  }
  assert.deepEqual(await readdir(home), []);
});

test('what is asked of a core where none runs is said so', async () => {
  for (const args of [['cache', 'stats'], ['upstream'], ['warm', 'alpine'], ['cache', 'purge', 'alpine']]) {
    const { code, stderr } = await run(args);
    assert.equal(code, 1);
    assert.match(stderr, /^hubgate: no core runs here: nothing answers on .*run\/core\/core\.sock/);
  }
});

test('a port that is taken is said so, and nothing is left running', async () => {
  const hub = await FakeHub.start();
  const environment = {
    HUBGATE_SERVER_LISTEN: `127.0.0.1:${hub.url.port}`,
    HUBGATE_SERVER_ADMIN: '127.0.0.1:0',
  };
  const { code, stderr } = await ended(hubgate(['start'], environment));
  await hub[Symbol.asyncDispose]();
  assert.equal(code, 1);
  assert.match(stderr, /^hubgate: port \d+ \(server\.listen\) is in use/);
});
