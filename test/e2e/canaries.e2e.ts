import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { FakeHub } from '../support/fake-hub.ts';
import { FakeIssuer } from '../support/fake-issuer.ts';
import { freePort } from '../support/free-port.ts';
import { ask, type TestRequest, type TestResponse } from '../support/http.ts';
import { imageOf, type TestImage } from '../support/image.ts';
import { basic } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';
import { Canaries, openFiles, type Place, processPlaces } from './support/canaries.ts';
import { type RunningHubgate, startHubgate } from './support/hubgate.ts';
import { run } from './support/process.ts';
import { roleProcesses } from './support/role-pids.ts';

const APP = 'repository:library/app:pull';
const NOBODY = 65_534;

const stack = new AsyncDisposableStack();
const canaries = new Canaries();
/** What anybody was told or could have read. */
const places: Place[] = [];
let home: string;
let hub: FakeHub;
let issuer: FakeIssuer;
let hubgate: RunningHubgate;
let adminPort: number;
let ca: string;
let image: TestImage;

/** With characters that are written otherwise in JSON, in a URL and in a header. */
function secret(): string {
  return `c4n"ry%2F/+é${randomBytes(12).toString('hex')}`;
}

const HUB_PASSWORD = secret();
const PASSWORD = secret();

before(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'hubgate-canaries-'));
  stack.defer(() => rm(home, { recursive: true, force: true }));
  hub = stack.use(await FakeHub.start());
  hub.accounts.push({ username: 'acme-mirror', password: HUB_PASSWORD, repositories: ['acme/secret'] });
  issuer = stack.use(await FakeIssuer.start());
  image = imageOf({ size: 300_000 });
  hub.push('library/app', 'latest', image);
  hub.push('acme/secret', 'latest', imageOf(), { private: true });
  await mkdir(path.join(home, 'config'));
  await writeFile(path.join(home, 'hub-password'), HUB_PASSWORD, { mode: 0o600 });
  adminPort = await freePort();
  hubgate = stack.use(await startHubgate(home, configuration));
  await hubgate.addUser('ana', PASSWORD);
  ca = await readFile(at('certs/ca.crt'), 'utf8');
});

after(() => stack.disposeAsync());

function at(name: string): string {
  return path.join(home, name);
}

function configuration(port: number): string {
  return `
server: { listen: "127.0.0.1:${port}", admin: "127.0.0.1:${adminPort}", workers: 2 }
upstreams:
  docker.io: { url: ${hub.url.origin}, username: acme-mirror, passwordFile: ${home}/hub-password }
cache: { tagFreshness: 0s }
token: { refresh: 1d }
federation: { ci: { issuer: "${issuer.url}", audience: mirror.corp, subject: "\${repository}@\${ref}" } }
log: { format: json, level: debug }
`;
}

/** Whatever comes back, but for the answer that hands a token out, is a place where no secret belongs. */
async function request(target: string, options: Partial<TestRequest> = {}): Promise<TestResponse> {
  const to = { tls: true, host: 'localhost', port: hubgate.port, ca, path: target, agent: false } as const;
  const response = await ask({ ...to, ...options });
  const name = `${options.method ?? 'GET'} ${target.slice(0, 60)}: ${response.status}`;
  places.push({ name: `headers of ${name}`, content: JSON.stringify(response.headers) });
  const handsOut = response.status === 200 && target.startsWith('/token');
  if (!handsOut) places.push({ name: `body of ${name}`, content: response.body.toString('latin1') });
  return response;
}

async function command(...args: string[]): Promise<string> {
  const output = await hubgate.run(...args);
  places.push({ name: `output of ${args.slice(0, 2).join(' ')}`, content: output });
  return output;
}

function form(fields: Record<string, string>): Partial<TestRequest> {
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  return { method: 'POST', headers, send: new URLSearchParams(fields).toString() };
}

async function login(user: string, password: string, query = `service=x&scope=${APP}`): Promise<string> {
  const { status, body } = await request(`/token?${query}`, {
    headers: { authorization: basic(user, password) },
  });
  assert.equal(status, 200);
  const { token } = JSON.parse(body.toString());
  canaries.addJwt(`JWT of ${user}`, token);
  return token;
}

test('eight secrets are used in every way, rightly and wrongly, and none is to be found afterwards', async () => {
  canaries.add('Hub password', HUB_PASSWORD);
  canaries.add('user password', PASSWORD);
  const { token: serviceToken } = JSON.parse(await serviceAccount());
  canaries.add('service token', serviceToken);
  const token = await login('ana', PASSWORD);
  await login('ci', serviceToken);
  const refreshToken = await refresh();
  const federated = await issuer.sign({ repository: 'acme/app', ref: 'refs/heads/main', sub: 'x' });
  canaries.addJwt('federated JWT', federated);
  await login('oidc', federated);
  for (const key of ['certs/server.key', 'certs/ca.key', 'state/signing-key.pem'])
    canaries.add(`private key ${key}`, await readFile(at(key), 'utf8'));
  await hubgate.run('cert', 'issue', 'node-7', '--out', at('node-7'));
  const clientKey = await readFile(at('node-7/client.key'), 'utf8');
  canaries.add('private key of a client', clientKey);

  const secrets = [PASSWORD, serviceToken, refreshToken, federated, token, HUB_PASSWORD];
  await pullEverything({ authorization: `Bearer ${token}` });
  for (const one of secrets) await showEverywhere(one);
  await request('/v2/', { key: clientKey, cert: await readFile(at('node-7/client.cert'), 'utf8') });
  await troubleUpstream({ authorization: `Bearer ${token}` });
  for (const { query } of hub.log.filter(({ server }) => server === 'cdn'))
    canaries.add('signed CDN URL', query.get('verify') ?? '');
  await breakFiles();
  await lookAround();

  assert.deepEqual(canaries.lookInto(places), []);
});

test('what looks for them finds each, as it is and as it is usually written', () => {
  const looked = new Canaries();
  looked.add('password', PASSWORD);
  const { authorization } = { authorization: basic('ana', PASSWORD) };
  const written = [PASSWORD, authorization, encodeURIComponent(PASSWORD), JSON.stringify({ PASSWORD })];
  for (const content of written)
    assert.deepEqual(looked.in(`before ${content} after`), ['password'], content);
  assert.deepEqual(looked.in('before, after'), []);
});

async function serviceAccount(): Promise<string> {
  await command('user', 'add', 'ci', '--service');
  return hubgate.run('token', 'create', 'ci', '--expires', '1d', '--json');
}

async function refresh(): Promise<string> {
  const asking = { headers: { authorization: basic('ana', PASSWORD) } };
  const { body } = await request('/token?account=ana&client_id=docker&offline_token=true&service=x', asking);
  const { refresh_token: refreshToken } = JSON.parse(body.toString());
  canaries.add('refresh token', refreshToken);
  const fields = { grant_type: 'refresh_token', refresh_token: refreshToken, service: 'x', scope: APP };
  assert.equal((await request('/token', form(fields))).status, 200);
  return refreshToken;
}

async function pullEverything(headers: Record<string, string>): Promise<void> {
  const targets = [
    '/v2/',
    '/v2/library/app/manifests/latest',
    `/v2/library/app/manifests/${image.digest}`,
    `/v2/library/app/blobs/${image.config}`,
    '/v2/library/app/tags/list',
    `/v2/library/app/referrers/${image.digest}`,
    '/v2/library/missing/manifests/latest',
    '/v2/acme/secret/manifests/latest',
    '/v2/_catalog',
  ];
  for (const target of targets) await request(target, { headers });
}

/** Where a secret does not belong, and where a client puts it by mistake. */
async function showEverywhere(one: string): Promise<void> {
  const encoded = encodeURIComponent(one);
  const authorizations = [
    `Bearer ${encoded}`,
    basic('ana', `${one}x`),
    basic('nobody', one),
    `Other ${encoded}`,
  ];
  for (const authorization of authorizations) {
    await request('/v2/library/app/manifests/latest', { headers: { authorization } });
    await request(`/token?service=x&scope=${APP}`, { headers: { authorization } });
  }
  await request(`/v2/library/app/manifests/latest?token=${encoded}`);
  await request(`/token?account=ana&password=${encoded}`);
  await request(`/${encoded}`);
  const password = { grant_type: 'password', username: 'ana', password: `${one}x`, service: 'x' };
  await request('/token', form(password));
  await request('/token', form({ grant_type: 'refresh_token', refresh_token: `${one}x`, service: 'x' }));
  await request('/token', { ...form({}), send: `{"password":${JSON.stringify(one)}` });
  // Too long for a header: the connection is cut, sometimes before its 431 is read.
  const long = { headers: { authorization: `Bearer ${encoded.repeat(300)}` } };
  await request('/v2/', long).catch(() => {});
  await request('/v2/', { method: 'POST', headers: { cookie: encoded, 'x-registry-auth': encoded } });
}

/** An upstream that fails, says too much, or repeats what it was shown. */
async function troubleUpstream(headers: Record<string, string>): Promise<void> {
  const shown = `${HUB_PASSWORD} ${basic('acme-mirror', HUB_PASSWORD)}`;
  const blob = (name: string) => `/v2/library/${name}/blobs/`;
  for (const [number, on] of (['token', 'registry', 'cdn'] as const).entries()) {
    for (const status of [401, 403, 500]) {
      const other = imageOf({ size: 200_000 });
      hub.push(`library/app-${number}-${status}`, 'latest', other);
      hub.plant(on, /./, { kind: 'status', status, body: JSON.stringify({ errors: [{ message: shown }] }) });
      await request(`/v2/library/app-${number}-${status}/manifests/latest`, { headers });
      await request(`${blob(`app-${number}-${status}`)}${other.layers[0]}`, { headers });
      hub.heal();
    }
  }
  hub.plant('cdn', /./, { kind: 'drop', at: 100_000 });
  await request(`${blob('app')}${image.layers[0]}`, { headers }).catch(() => {});
  hub.heal();
  hub.accounts.length = 0;
  await request('/v2/library/app/manifests/latest', { headers });
  await hubgate
    .run('upstream')
    .catch(({ message }: Error) => places.push({ name: 'output of upstream', content: message }));
}

/** Files that an admin has spoiled are complained of with what is wrong, and not with what they hold. */
async function breakFiles(): Promise<void> {
  const complaints = () => hubgate.output().split('refused').length;
  const spoil: [file: string, spoilt: (content: string) => string][] = [
    ['config/users.yaml', (content) => `${content}\n: ${PASSWORD}\n`],
    ['config/access.yaml', (content) => `${content}\n: ${PASSWORD}\n`],
    ['certs/server.key', (content) => content.slice(0, -60)],
  ];
  for (const [file, spoilt] of spoil) {
    const before = complaints();
    await writeFile(at(file), spoilt(await readFile(at(file), 'utf8')));
    await waitFor(() => complaints() > before);
  }
}

async function lookAround(): Promise<void> {
  for (const args of [
    ['token', 'list'],
    ['cert', 'list'],
    ['audit'],
    ['audit', '--json'],
    ['cache', 'stats'],
  ])
    await command(...args);
  for (const target of ['/metrics', '/readyz', '/healthz']) {
    const { body } = await ask({ host: '127.0.0.1', port: adminPort, path: target, agent: false });
    places.push({ name: target, content: body.toString() });
  }
  places.push({ name: 'log', content: hubgate.output() });
  places.push(...(await openFiles(home)));
  const roles = await roleProcesses(hubgate.pid);
  assert.deepEqual(roles.map(({ role }) => role).sort(), ['account', 'auth', 'core', 'gateway', 'gateway']);
  for (const { role, pid } of [...roles, { role: 'supervisor', pid: hubgate.pid }]) {
    places.push(...(await processPlaces(role, pid)));
    places.push({ name: `/proc of ${role}, as another user`, content: await readAsNobody(pid) });
  }
  for (const file of await readdir(at('state')))
    if (file.includes('audit'))
      places.push({ name: file, content: await readFile(at(`state/${file}`), 'utf8') });
}

/** Everything of a process that a user may read who has no part in it. */
async function readAsNobody(pid: number): Promise<string> {
  const script = `find /proc/${pid} -maxdepth 1 -type f ! -name pagemap ! -name kpage* -exec head -c 1000000 {} +`;
  const user = ['--reuid', `${NOBODY}`, '--regid', `${NOBODY}`, '--clear-groups'];
  const { output } = await run('setpriv', [...user, 'sh', '-c', `${script} 2>/dev/null`]);
  assert.match(output, /State:/);
  return output;
}
