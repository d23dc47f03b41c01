import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { readAuditLog } from '../support/audit-log.ts';
import { FakeHub } from '../support/fake-hub.ts';
import { imageOf, type TestImage } from '../support/image.ts';
import { type Docker, installClients, startDocker } from './support/clients.ts';
import { type RunningHubgate, startHubgate, WORKERS } from './support/hubgate.ts';
import { type Result, run } from './support/process.ts';

const PASSWORD = 's3cret-of-all';
const QUOTA = 20;
/** The cold images that each wants. Together they are more than the Hub allows. */
const COLD = { ci: 15, ana: 2, prod: 4 } as const;
type User = keyof typeof COLD;

const POLICY = `allow:
  - { pull: everything, to: authenticated }
limits:
  - { id: ci, to: ci, upstream: docker.io, pulls: 12/6h, because: "ask #platform" }
reserve:
  - { id: prod, upstream: docker.io, keep: 20%, for: prod }`;
const MESSAGE =
  /toomanyrequests: ci has used its 12 docker\.io pulls of 6 h \(limit ci\); more from [-0-9: ]+ UTC\. ask #platform/;
/** Podman 4 asks 20 times in some two minutes, whatever the answer is. With a longer Retry-After it is 16. */
const PODMAN_DEADLINE = 270_000;

/** An archive without files, which docker and podman unpack. All images share it. */
const LAYER = Buffer.alloc(1024);

const stack = new AsyncDisposableStack();
const hub = await FakeHub.start();
stack.use(hub);
let directory: string;
let hubgate: RunningHubgate;
let docker: Docker;
let mirror: string;

before(async () => {
  await installClients();
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-e2e-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const at = (name: string) => path.join(directory, name);
  hub.remaining = QUOTA;
  hub.limit = QUOTA;
  for (const [user, count] of Object.entries(COLD))
    for (let one = 0; one < count; one++) push(`${user}-${one}`);
  push('never');
  await mkdir(at('home/config'), { recursive: true });
  await writeFile(at('home/config/access.yaml'), `version: 1\n${POLICY}\n...\n`);
  hubgate = stack.use(
    await startHubgate(
      at('home'),
      (port) => `
server: { listen: "127.0.0.1:${port}", admin: "127.0.0.1:0", workers: ${WORKERS} }
upstreams: { docker.io: { url: ${hub.url.origin} } }
cache: { tagFreshness: 0s }
log: { format: json }
`,
    ),
  );
  for (const user of Object.keys(COLD)) await hubgate.addUser(user, PASSWORD);
  mirror = `localhost:${hubgate.port}`;
  docker = stack.use(await startDocker(at('docker')));
});

after(() => stack.disposeAsync());

function push(name: string): TestImage {
  const image = imageOf({ layers: [LAYER], isRootfs: true });
  hub.push(`library/${name}`, 'latest', image);
  return image;
}

async function dockerLogin(user: User): Promise<void> {
  const { code, output } = await docker(['login', mirror, '-u', user, '--password-stdin'], {
    stdin: PASSWORD,
  });
  assert.equal(code, 0, output);
}

function dockerPull(name: string): Promise<Result> {
  return docker(['pull', `${mirror}/library/${name}`]);
}

/** Pulls into a storage of its own, as on a machine that has never seen the image. */
function podmanPull(user: User, name: string): Promise<Result> {
  const at = (part: string) => path.join(directory, `podman-${name}`, part);
  const storage = ['--root', at('storage'), '--runroot', at('run'), '--storage-driver', 'vfs'];
  const login = ['--tls-verify=false', '--creds', `${user}:${PASSWORD}`];
  return run('podman', [...storage, 'pull', ...login, `${mirror}/library/${name}`]);
}

async function auditedLimits(): Promise<unknown[]> {
  const lines = await readAuditLog(path.join(hubgate.home, 'state/audit.log'));
  return lines.filter(({ status }) => status === 429).map(({ subject, limit }) => `${subject} ${limit}`);
}

test('a careless job is refused with a clear message, and production and all others pull', async () => {
  await dockerLogin('ci');
  const outputs: string[] = [];
  for (let one = 0; one < COLD.ci; one++) {
    const { code, output } = await dockerPull(`ci-${one}`);
    if (code !== 0) outputs.push(output);
  }
  assert.equal(outputs.length, COLD.ci - 12, outputs.join('\n'));
  for (const output of outputs) assert.match(output, MESSAGE);

  const started = performance.now();
  const refused = podmanPull('ci', 'never').then((result) => ({
    ...result,
    took: performance.now() - started,
  }));

  await dockerLogin('ana');
  for (let one = 0; one < COLD.ana; one++) {
    const { code, output } = await dockerPull(`ana-${one}`);
    assert.equal(code, 0, output);
  }
  for (let one = 0; one < COLD.prod; one++) {
    const { code, output } = await podmanPull('prod', `prod-${one}`);
    assert.equal(code, 0, output);
  }
  assert.equal(hub.remaining, QUOTA - 12 - COLD.ana - COLD.prod);

  const { code, output, took } = await refused;
  assert.notEqual(code, 0);
  assert.match(output, MESSAGE);
  assert.ok(took < PODMAN_DEADLINE, `podman took ${took} ms`);
  assert.deepEqual(
    hub.log.filter(({ path: asked }) => asked.includes('never')),
    [],
    'podman asks again and again, and the Hub is not asked at all',
  );
  assert.deepEqual(new Set(await auditedLimits()), new Set(['user:ci ci']));
});

test('what is cached stays free for the job, and a tag that has moved keeps its earlier digest', async () => {
  await dockerLogin('ci');
  const before = (await docker(['image', 'inspect', '-f', '{{.Id}}', `${mirror}/library/ci-0`])).output;
  push('ci-0');
  const counted = hub.remaining;
  for (const name of ['ci-0', 'ci-1', 'ana-0']) {
    await docker(['rmi', '--force', `${mirror}/library/${name}`]);
    const { code, output } = await dockerPull(name);
    assert.equal(code, 0, output);
  }
  const now = (await docker(['image', 'inspect', '-f', '{{.Id}}', `${mirror}/library/ci-0`])).output;
  assert.equal(now, before);
  assert.equal(hub.remaining, counted);
});
