import assert from 'node:assert/strict';
import { chmod, chown, copyFile, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { installObjectServers, type ObjectServer, startVersity } from '../cluster/support/object-servers.ts';
import { startPostgres } from '../cluster/support/postgres-server.ts';
import { readServices, type Service } from '../support/compose-file.ts';
import { FakeHub } from '../support/fake-hub.ts';
import { freePort } from '../support/free-port.ts';
import { ask } from '../support/http.ts';
import { imageOf } from '../support/image.ts';
import { basic } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';
import { asCommand, furnish, type Places } from './support/as-container.ts';
import { installBalancers } from './support/balancers.ts';
import { buildImage, type Image } from './support/image.ts';
import { mustRun, startProcess } from './support/process.ts';

/**
 * This test does by hand what deploy/compose/cluster.yaml says: its setup, and two of its nodes on a real
 * PostgreSQL and a real object store.
 */
const COMPOSE = path.join(import.meta.dirname, '../../deploy/compose');
const PASSWORD = 's3cret-of-ana';
const NODES = ['n1', 'n2'] as const;
/** The user `node` of the base image. */
const NODE_USER = 1000;

interface RunningNode {
  readonly port: number;
  run(...command: readonly string[]): Promise<string>;
}

const alpine = imageOf();
const stack = new AsyncDisposableStack();
const nodes: RunningNode[] = [];
let services: ReadonlyMap<string, Service>;
let image: Image;
let places: Places;
let hub: FakeHub;
let s3: ObjectServer;
let ca: string;

before(async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-compose-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  await chmod(directory, 0o755);
  services = await readServices(path.join(COMPOSE, 'cluster.yaml'));
  image = await buildImage(directory);
  await furnish(image.root);
  assert.equal((await installObjectServers()).versitygw, undefined);
  s3 = stack.use(await startVersity());
  places = await makePlaces(directory);
  const postgres = stack.use(await startPostgres());
  hub = stack.use(await FakeHub.start());
  hub.push('library/alpine', 'latest', alpine);
  await mustRun('env', asCommand(serviceOf('setup', {}), image, places));
  ca = await readFile(path.join(places.sources.certs ?? '', 'ca.crt'), 'utf8');
  const database = await postgres.database();
  for (const name of NODES) nodes.push(await startNode(name, database));
});

after(() => stack.disposeAsync());

/** Returns a service of the file with what this machine has in place of compose's variables and names. */
function serviceOf(name: string, environment: Readonly<Record<string, string>>): Service {
  const service = services.get(name) ?? assert.fail(`no service ${name}`);
  const own = { ...service.environment, HUBGATE_SERVER_URL: 'https://localhost:8443', ...environment };
  const command = service.command.length > 0 ? service.command : JSON.parse(image.instruction('CMD'));
  return { ...service, command, user: `${NODE_USER}:${NODE_USER}`, environment: own };
}

/**
 * Makes a directory for each volume. A new volume belongs to the user of the directory that it is mounted on.
 */
async function makePlaces(directory: string): Promise<Places> {
  const at = (name: string) => path.join(directory, 'volumes', name);
  const mounts = [...services.values()].flatMap((service) => service.mounts);
  const sources = Object.fromEntries(mounts.map(({ source }) => [source, at(source)]));
  for (const source of Object.values(sources)) {
    await mkdir(source, { recursive: true });
    await chown(source, NODE_USER, NODE_USER);
    await chmod(source, 0o750);
  }
  await copyFile(path.join(COMPOSE, 'cluster/hubgate.yaml'), at('hubgate.yaml'));
  const secrets = { 's3-access-key': s3.accessKeyFile, 's3-secret-key': s3.secretKeyFile };
  // The group of the nodes may read them, as docs/containers.md says.
  await chmod(path.dirname(s3.secretKeyFile), 0o755);
  for (const file of Object.values(secrets)) {
    await chown(file, 0, NODE_USER);
    await chmod(file, 0o440);
  }
  return { sources, configs: { hubgate: at('hubgate.yaml') }, secrets };
}

/** Starts a node on ports of its own, because all nodes share this machine's network. */
async function startNode(name: string, database: string): Promise<RunningNode> {
  const [port, admin, peers] = [await freePort(), await freePort(), await freePort()];
  const service = serviceOf(name, {
    HUBGATE_CLUSTER_DATABASE: database,
    HUBGATE_CLUSTER_OBJECTS_ENDPOINT: s3.endpoint,
    HUBGATE_CLUSTER_LISTEN: `127.0.0.1:${peers}`,
    HUBGATE_SERVER_LISTEN: `:${port}`,
    HUBGATE_SERVER_ADMIN: `127.0.0.1:${admin}`,
    HUBGATE_SERVER_WORKERS: '1',
    HUBGATE_UPSTREAMS_DOCKER_IO_URL: hub.url.origin,
  });
  const ready = () =>
    fetch(`http://127.0.0.1:${admin}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    );
  stack.use(await startProcess('env', asCommand(service, image, places), { ready }));
  return {
    port,
    run: (...command) =>
      mustRun('env', asCommand(service, image, places, ['hubgate', ...command]), { stdin: PASSWORD }),
  };
}

function statusOn({ port }: RunningNode, target = '/v2/library/alpine/manifests/latest'): Promise<number> {
  const headers = { authorization: basic('ana', PASSWORD) };
  return ask({ tls: true, host: 'localhost', port, path: target, headers, ca, agent: false }).then(
    ({ status }) => status,
  );
}

test('a user of one node pulls on each node, with the one certificate and one pull from the upstream', async () => {
  const [first = assert.fail()] = nodes;
  await first.run('user', 'add', 'ana', '--password-stdin');
  // The other node learns of the user within a second.
  for (const node of nodes) await waitFor(async () => (await statusOn(node)) === 200);
  const manifests = hub.log.filter(({ method, path: at }) => method === 'GET' && at.includes('/manifests/'));
  assert.equal(manifests.length, 1);
  const status = await first.run('cluster', 'status');
  for (const name of NODES) assert.match(status, new RegExp(`\\b${name}\\b`));
});

test('a blob that one node has pulled is in the object store', async () => {
  const [first = assert.fail(), second = assert.fail()] = nodes;
  const blob = `/v2/library/alpine/blobs/${alpine.layers[0]}`;
  assert.equal(await statusOn(first, blob), 200);
  await waitFor(async () => /^object store: 1 blobs/m.test(await second.run('cluster', 'status')));
});

test('the balancer reads its configuration', async () => {
  await installBalancers();
  await mustRun('haproxy', ['-c', '-q', '-f', path.join(COMPOSE, 'cluster/haproxy.cfg')]);
});
