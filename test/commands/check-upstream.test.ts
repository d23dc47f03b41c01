/**
 * Tests that `hubgate upstream check` says at which step the way to a registry ends, and which setting mends
 * that.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { checkUpstream } from '../../src/commands/check-upstream.ts';
import { pathsIn } from '../../src/config/home.ts';
import { startCore } from '../../src/core/core.ts';
import type { UpstreamStep } from '../../src/protocol/core-api.ts';
import { DOCKER_HUB } from '../../src/registry/repository.ts';
import { makeAuthority } from '../support/certificates.ts';
import { imageOf, indexOf } from '../support/image.ts';
import { StandInProxy } from '../support/stand-in-proxy.ts';
import { json, page, refusal, StandInRegistry } from '../support/stand-in-registry.ts';
import { ACCOUNT, QUIET, SHORT_LIMITS } from '../support/test-core.ts';
import { type LoggedLine, testLog } from '../support/test-log.ts';
import { waitFor } from '../support/wait-for.ts';
import { run } from './support/terminal.ts';

const BASIC = `Basic ${Buffer.from(`${ACCOUNT.username}:${ACCOUNT.password}`).toString('base64')}`;

let home: string;
let registry: StandInRegistry;

beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'hubgate-check-'));
  await mkdir(path.join(home, 'config'));
  registry = await StandInRegistry.start();
  registry.push('1', indexOf([imageOf()]));
  await configure(`url: ${registry.url.origin}`);
});

afterEach(async () => {
  await registry[Symbol.asyncDispose]();
  await rm(home, { recursive: true });
});

async function configure(upstream: string, more = ''): Promise<void> {
  const text = `upstreams: { docker.io: { ${upstream} } }\n${more}\n`;
  await writeFile(path.join(home, 'config/hubgate.yaml'), text);
}

async function check(host: string, image?: string, asJson = true) {
  const options = { home, json: asJson };
  const { code, stdout, stderr } = await run((terminal) => checkUpstream(host, image, options, {}, terminal));
  const steps: readonly UpstreamStep[] = asJson && code !== 2 ? JSON.parse(stdout) : [];
  return { code, steps, stdout, stderr, failed: steps.find(({ result }) => result === 'failed') };
}

const resultsOf = (steps: readonly UpstreamStep[]) => steps.map(({ step, result }) => `${step}: ${result}`);

test('every step is shown, and what was found there', async () => {
  const { code, steps } = await check('docker.io', 'acme/app:1');
  assert.equal(code, 0, JSON.stringify(steps));
  assert.deepEqual(resultsOf(steps), [
    'proxy: ok',
    'DNS: skipped',
    'address: ok',
    'TLS: skipped',
    '/v2/: ok',
    'challenge: skipped',
    'token: ok',
    'HEAD: ok',
    'GET: ok',
    'redirect: ok',
    'first bytes: ok',
  ]);
  const details = Object.fromEntries(steps.map(({ step, detail }) => [step, detail]));
  assert.match(details.HEAD ?? '', /^1 is sha256:[0-9a-f]{64}, \d+ bytes$/);
  assert.match(details['first bytes'] ?? '', /^\d+ bytes of sha256:/);
});

test('people read signs, and what to do', async () => {
  registry.behave = () => page(200);
  const good = await check('docker.io', undefined, false);
  assert.match(good.stdout, /^✓ address +127\.0\.0\.1 port \d+$/m);
  assert.match(good.stdout, /^– HEAD +name an image to go on; that costs a pull$/m);
  registry.behave = () => page(404);
  const bad = await check('docker.io', undefined, false);
  assert.equal(bad.code, 1);
  assert.match(
    bad.stdout,
    /^✗ \/v2\/ +answers 404\n +→ is that the address of a registry\?.* upstreams\.docker\.io\.url$/m,
  );
});

test('without an image no manifest is asked for', async () => {
  await check('docker.io');
  assert.deepEqual(
    registry.requests.filter(({ method, path }) => method === 'GET' && path !== '/v2/'),
    [],
  );
});

test('a failure names its step and its setting, and is the last step', async () => {
  const gone = await StandInRegistry.start();
  const { origin } = gone.url;
  await gone[Symbol.asyncDispose]();
  const { port } = registry.url;
  for (const [upstream, step, detail, mend] of [
    ['url: "https://registry.invalid"', 'DNS', /ENOTFOUND|EAI_AGAIN/, /egress\.proxy/],
    [`url: "${origin}"`, 'address', /ECONNREFUSED/, /firewall/],
    [`url: "https://127.0.0.1:${port}"`, 'TLS', /does not speak TLS/, /upstreams\.docker\.io\.insecure/],
  ] as const) {
    await configure(upstream);
    const { code, failed, steps } = await check('docker.io', 'acme/app:1');
    assert.deepEqual([code, failed?.step, steps.at(-1)], [1, step, failed]);
    assert.match(failed?.detail ?? '', detail);
    assert.match(failed?.mend ?? '', mend);
  }
});

/** What answers on the port of a registry, and why TLS fails there. */
const TLS_FAILURES: readonly {
  readonly what: string;
  readonly start: () => Server;
  readonly detail: RegExp;
  readonly mend: RegExp;
}[] = [
  {
    what: 'a certificate of an unknown authority',
    start: () => servedWith(makeAuthority('unknown').issue(LEAF)),
    detail: /not of an authority that is trusted here/,
    mend: /upstreams\.docker\.io\.ca.*egress\.ca/,
  },
  {
    what: 'a certificate that has expired',
    start: () => servedWith(authority.issue({ ...LEAF, to: new Date(Date.now() - 1_000) })),
    detail: /has expired, by the clock of this machine/,
    mend: /renewed.*clock/,
  },
  {
    what: 'a certificate for another name',
    start: () => servedWith(authority.issue({ ...LEAF, altNames: [{ type: 2, value: 'other.example' }] })),
    detail: /is for another name/,
    mend: /upstreams\.docker\.io\.url/,
  },
  {
    what: 'plain HTTP',
    start: () => createHttpServer(),
    detail: /does not speak TLS/,
    mend: /http:\/\/.*upstreams\.docker\.io\.url.*upstreams\.docker\.io\.insecure/,
  },
  {
    what: 'what takes connections and says nothing',
    start: () => createServer((socket) => socket.resume().on('error', () => {})),
    detail: /does not answer in time/,
    mend: /egress\.proxy/,
  },
  {
    what: 'what closes connections',
    start: () => createServer((socket) => socket.on('error', () => {}).once('data', () => socket.destroy())),
    detail: /ECONNRESET/,
    mend: /egress\.proxy/,
  },
];

const HOST = 'registry.corp.example';
const LEAF = {
  commonName: HOST,
  altNames: [
    { type: 2, value: 'localhost' },
    { type: 2, value: HOST },
  ],
  usage: { serverAuth: true },
};
const authority = makeAuthority('company');

function servedWith(pair: { cert: string; key: string }): Server {
  return createHttpsServer(pair, (_, response) => response.writeHead(200).end('{}'));
}

/** Serves on a free port of this machine for as long as the test takes. */
async function serve(server: Server): Promise<AsyncDisposable & { readonly port: number }> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => sockets.add(socket));
  await once(server.listen(0, 'localhost'), 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

for (const { what, start, detail, mend } of TLS_FAILURES)
  test(`TLS with ${what} fails at its step, directly and by a proxy, and the line names what mends it`, async () => {
    await using server = await serve(start());
    await using proxy = await StandInProxy.start({ secure: server.port });
    await writeFile(path.join(home, 'ca.crt'), authority.cert);
    const ca = `ca: ${path.join(home, 'ca.crt')}`;
    for (const by of ['directly', 'proxy']) {
      const url = `https://${by === 'proxy' ? HOST : 'localhost'}:${server.port}`;
      await configure(`url: "${url}", ${ca}`, by === 'proxy' ? `egress: { proxy: "${proxy.url}" }` : '');
      const { code, failed, steps, stdout } = await check('docker.io', 'acme/app:1');
      const before = steps.slice(0, -1);
      assert.deepEqual([code, failed?.step, steps.at(-1)], [1, 'TLS', failed], stdout);
      assert.ok(before.every(({ result }) => result !== 'failed'));
      assert.match(failed?.detail ?? '', detail, by);
      assert.match(failed?.mend ?? '', mend, by);
      assert.doesNotMatch(`${failed?.detail}`, /\n/);
      if (by === 'proxy') continue;
      // What people read: the steps before, and then one line with a sign and one that mends.
      const read = await check('docker.io', 'acme/app:1', false);
      assert.match(read.stdout, /^(?:[✓–] .*\n)+✗ TLS .*\n +→ .*\n$/, by);
    }
  });

test('TLS is shown behind a proxy, and by the authority of a proxy that inspects it', async () => {
  await using server = await serve(servedWith(authority.issue(LEAF)));
  await using proxy = await StandInProxy.start({ secure: server.port });
  await writeFile(path.join(home, 'ca.crt'), authority.cert);
  const ca = path.join(home, 'ca.crt');
  for (const [url, egress] of [
    [`https://${HOST}`, `egress: { proxy: "${proxy.url}", ca: ${ca} }`],
    [`https://localhost:${server.port}`, `egress: { ca: ${ca} }`],
  ] as const) {
    await configure(`url: "${url}"`, egress);
    const { steps } = await check('docker.io');
    const { result, detail } = steps.find(({ step }) => step === 'TLS') ?? assert.fail(url);
    assert.equal(result, 'ok', detail);
    assert.match(detail, /^TLSv1\.3, issued by company, good until /);
    assert.equal(steps.find(({ step }) => step === '/v2/')?.result, 'ok');
  }
});

test('what the registry itself refuses is found at its step', async () => {
  const challenged = (realm: string) => {
    const answer = refusal(401, 'UNAUTHORIZED');
    return { ...answer, headers: { ...answer.headers, 'www-authenticate': realm } };
  };
  await configure(
    `url: ${registry.url.origin}, username: ${ACCOUNT.username}, password: "${ACCOUNT.password}"`,
  );
  registry.behave = () => challenged('Bearer realm="http://tokens.elsewhere.example/token"');
  const elsewhere = await check('docker.io');
  assert.deepEqual(
    [elsewhere.failed?.step, elsewhere.failed?.mend],
    ['token', 'check upstreams.docker.io.tokenServices'],
  );
  registry.behave = () => challenged('Basic realm="r"');
  const refused = await check('docker.io');
  assert.equal(refused.failed?.detail, 'the credential is refused');
  assert.match(refused.failed?.mend ?? '', /passwordFile/);
  assert.ok(!JSON.stringify(refused).includes(ACCOUNT.password));
  registry.behave = ({ headers }, usual) =>
    headers.authorization === BASIC ? usual : challenged('Basic realm="r"');
  const missing = await check('docker.io', 'acme/app:none');
  assert.deepEqual([missing.code, missing.failed?.step], [1, 'HEAD']);
  assert.equal((await check('docker.io', 'acme/app:1')).code, 0);
});

test('a host that is no upstream, and an image that is none of it, are bad usage', async () => {
  for (const args of [['ghcr.io'], ['docker.io', 'acme/App'], ['docker.io', 'a:b:c']] as const) {
    const [host, image] = args;
    const { code, stderr } = await check(host, image);
    assert.equal(code, 2, args.join(' '));
    assert.match(stderr, /^hubgate: .*(?:none of the upstreams|no image of docker\.io)/);
  }
});

test('the running core goes the way, because it alone has the credential', async () => {
  await using _ = await start(QUIET);
  await configure('url: "https://registry.invalid"');
  const { code, steps } = await check('docker.io', 'acme/app:1');
  assert.deepEqual([code, resultsOf(steps).at(-1)], [0, 'first bytes: ok']);
});

test('a start says at once that an upstream cannot be reached, and starts all the same', async () => {
  registry.behave = () => json(503, {});
  const lines: LoggedLine[] = [];
  await using _ = await start(testLog(lines), { lookAtUpstreams: true });
  const said = () => lines.find(({ msg }) => msg.startsWith('the upstream cannot be reached'));
  await waitFor(async () => said() !== undefined);
  const { level, upstream, step, problem, mend } = said() ?? assert.fail();
  assert.deepEqual([level, upstream, step, problem], [50, 'docker.io', '/v2/', 'answers 503']);
  assert.match(String(mend), /upstreams\.docker\.io\.url/);
});

async function start(log: typeof QUIET, more: { lookAtUpstreams?: boolean } = {}) {
  const { coreSocket } = pathsIn(home);
  await mkdir(path.dirname(coreSocket), { recursive: true });
  return startCore({
    socket: coreSocket,
    directory: path.join(home, 'data'),
    upstreams: [{ host: DOCKER_HUB, url: registry.url }],
    tagFreshness: 60_000,
    staleIfError: 60_000,
    maxSize: 2 ** 40,
    unusedFor: 0,
    log,
    limits: SHORT_LIMITS,
    ...more,
  });
}
