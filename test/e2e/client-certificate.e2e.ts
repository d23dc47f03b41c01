import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { networkInterfaces, tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { readAuditLog } from '../support/audit-log.ts';
import { waitFor } from '../support/wait-for.ts';
import { type Docker, installClients, startDocker } from './support/clients.ts';
import { type RunningHubgate, startHubgate, WORKERS } from './support/hubgate.ts';
import { writeLayout } from './support/oci-layout.ts';
import { mustRun } from './support/process.ts';
import { startUpstream } from './support/upstream.ts';

const BIN = path.join(import.meta.dirname, '../../src/bin/hubgate.ts');
/** Docker reads no certificates for a registry on a loopback address. */
const ADDRESS = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ family, internal }) => family === 'IPv4' && !internal)?.address;

const POLICY = 'version: 1\nallow:\n  - { pull: library/alpine, to: "cert:node-7" }\n...\n';

const stack = new AsyncDisposableStack();
let directory: string;
let hubgate: RunningHubgate;
let docker: Docker;
let digest: string;
let certificates: string;

before(async () => {
  await installClients();
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-e2e-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const at = (name: string) => path.join(directory, name);
  const upstream = stack.use(await startUpstream(at('upstream')));
  digest = await writeLayout(at('alpine'), 'v1', 'the first one\n');
  await upstream.push(at('alpine'), 'v1', 'library/alpine:latest');
  await mkdir(at('home/config'), { recursive: true });
  await writeFile(at('home/config/access.yaml'), POLICY);
  hubgate = stack.use(
    await startHubgate(
      at('home'),
      (port) => `
server: { url: "https://${ADDRESS}:${port}", listen: ":${port}", admin: "127.0.0.1:0", workers: ${WORKERS} }
upstreams: { docker.io: { url: ${upstream.url.origin} } }
log: { format: json }
`,
    ),
  );
  certificates = `/etc/docker/certs.d/${ADDRESS}:${hubgate.port}`;
  stack.defer(() => rm(certificates, { recursive: true, force: true }));
  docker = stack.use(await startDocker(at('docker'), `https://${ADDRESS}:${hubgate.port}`));
});

after(() => stack.disposeAsync());

function cert(...args: string[]): Promise<string> {
  return mustRun(process.execPath, [BIN, 'cert', ...args, '--home', hubgate.home]);
}

async function pulls(): Promise<Record<string, unknown>[]> {
  const lines = await readAuditLog(path.join(hubgate.home, 'state/audit.log'));
  return lines.filter(({ action }) => action === 'pull');
}

test('dockerd pulls an unprefixed name from its mirror by the certificate of its node, until that is revoked', async () => {
  assert.ok(ADDRESS, 'the machine has no address but loopback');
  await cert('issue', 'node-7', '--out', certificates);
  const { code, output } = await docker(['pull', 'alpine']);
  assert.equal(code, 0, output);
  assert.match(output, new RegExp(`Digest: ${digest}`));
  await waitFor(async () => (await pulls()).length >= 5);
  for (const { subject, decision } of await pulls())
    assert.deepEqual([subject, decision], ['cert:node-7', 'allow']);
  await docker(['rmi', '--force', 'alpine']);
  await cert('revoke', 'node-7');
  // Where the machine reaches Docker Hub, the daemon goes there: what the mirror answers is in its record.
  await waitFor(async () => {
    await docker(['pull', 'alpine']);
    return (await pulls()).at(-1)?.decision === 'deny';
  });
  assert.equal((await pulls()).at(-1)?.subject, 'anonymous');
});
