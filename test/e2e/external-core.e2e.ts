import assert from 'node:assert/strict';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { freePort } from '../support/free-port.ts';
import { installClients } from './support/clients.ts';
import { type RunningHubgate, startHubgate, WORKERS } from './support/hubgate.ts';
import { writeLayout } from './support/oci-layout.ts';
import { run } from './support/process.ts';
import { ACCOUNT, startRegistry, startUpstream, type Upstream } from './support/upstream.ts';

const PASSWORD = 's3cret-of-ana';

const stack = new AsyncDisposableStack();
let directory: string;
let upstream: Upstream;
let hubgate: RunningHubgate;
let certificates: string;

before(async () => {
  await installClients();
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-e2e-core-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const at = (name: string) => path.join(directory, name);

  upstream = stack.use(await startUpstream(at('upstream')));
  await writeLayout(at('alpine'), 'v1', 'through an external core\n');
  await upstream.push(at('alpine'), 'v1', 'library/alpine:latest');
  await upstream.push(at('alpine'), 'v1', 'acme/secret:latest');

  const core = new URL(`http://127.0.0.1:${await freePort()}`);
  await writeFile(at('proxy.yml'), proxyConfiguration(core));
  stack.use(await startRegistry(at('proxy.yml'), core));

  await mkdir(at('home/config'), { recursive: true });
  hubgate = stack.use(await startHubgate(at('home'), (port) => configuration(port, core)));
  await hubgate.addUser('ana', PASSWORD);
  // Of its own, because skopeo takes every key beside a certificate for a client's.
  certificates = at('trusted');
  await mkdir(certificates);
  await copyFile(at('home/certs/ca.crt'), path.join(certificates, 'ca.crt'));
});

after(() => stack.disposeAsync());

/**
 * A registry as many have it running: a pull-through cache that holds the account's credential, for whoever
 * asks.
 */
function proxyConfiguration(core: URL): string {
  return JSON.stringify({
    version: '0.1',
    storage: { filesystem: { rootdirectory: path.join(directory, 'proxy') }, delete: { enabled: true } },
    http: { addr: core.host },
    proxy: { remoteurl: upstream.url.origin, ...ACCOUNT },
  });
}

function configuration(port: number, core: URL): string {
  return `
server: { listen: "127.0.0.1:${port}", admin: "127.0.0.1:0", workers: ${WORKERS} }
core: { url: "${core.origin}" }
`;
}

function copy(image: string, credentials = `ana:${PASSWORD}`) {
  const source = `docker://localhost:${hubgate.port}/${image}`;
  const target = `dir:${directory}/copied-${image.replaceAll('/', '-')}`;
  const flags = ['--src-cert-dir', certificates, '--src-creds', credentials];
  return run('skopeo', ['--insecure-policy', 'copy', ...flags, source, target]);
}

test('the same gate in front of a registry that runs as a pull-through cache', async () => {
  await hubgate.setPolicy('allow:\n  - { pull: library/**, to: authenticated }');
  for (const image of ['library/alpine', 'docker.io/library/alpine']) {
    const { code, output } = await copy(image);
    assert.equal(code, 0, output);
  }
  const denied = await copy('acme/secret');
  assert.notEqual(denied.code, 0);
  assert.match(denied.output, /denied/);
  assert.match((await copy('library/alpine', 'ana:wrong')).output, /incorrect username or password/);
});

test('at its start it says what only the built-in core can promise', () => {
  assert.match(hubgate.output(), /no guard for private repositories/);
  assert.match(hubgate.output(), /fills are not shared/);
});
