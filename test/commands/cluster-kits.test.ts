import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { parse as parseToml } from 'smol-toml';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { clientConfig } from '../../src/commands/client-config/client-config.ts';
import { pathsIn } from '../../src/config/home.ts';
import { ensureServerCertificate } from '../../src/pki/local-ca.ts';
import { run } from './support/terminal.ts';

let home: string;

beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'hubgate-cluster-kits-'));
  await mkdir(at('config'));
  await mkdir(at('state'));
  await configure('https://mirror.corp');
  await ensureServerCertificate({
    ca: pathsIn(home).ca,
    server: { certificate: at('certs/server.crt'), key: at('certs/server.key') },
    names: ['mirror.corp'],
    clock: Date.now,
  });
});

afterEach(() => rm(home, { recursive: true }));

function at(...names: string[]): string {
  return path.join(home, ...names);
}

function configure(url: string): Promise<void> {
  return writeFile(at('config/hubgate.yaml'), `server: { url: "${url}" }\nupstreams: { ghcr.io: }\n`);
}

/** Writes the kit of a client, and returns what reads a file of it. */
async function kit(client: string, strict = false): Promise<(file: string) => Promise<string>> {
  const out = await mkdtemp(at(`${client}-`));
  await rm(out, { recursive: true });
  const options = { home, json: false, for: 'node-7', strict, showSecrets: false, out };
  const { code, stderr } = await run((terminal) => clientConfig(client, options, {}, terminal));
  assert.equal(code, 0, stderr);
  return (file) => readFile(path.join(out, file), 'utf8');
}

const FILE = z.strictObject({
  ca_file: z.string().optional(),
  cert_file: z.string().optional(),
  key_file: z.string().optional(),
  insecure_skip_verify: z.boolean().optional(),
});
/** The type `Registry` of rancher/wharfie, pkg/registries/endpoint.go, which k3s, RKE2 and k3d read. */
const REGISTRIES = z.strictObject({
  mirrors: z.record(
    z.string(),
    z.strictObject({ endpoint: z.array(z.url()), rewrite: z.record(z.string(), z.string()).optional() }),
  ),
  configs: z.record(z.string(), z.strictObject({ auth: z.unknown().optional(), tls: FILE.optional() })),
});

function assertRegistries(text: string, directory: string, address: string): void {
  const { mirrors, configs } = REGISTRIES.parse(parseYaml(text));
  assert.deepEqual(mirrors, {
    'docker.io': { endpoint: [`https://${address}`] },
    'ghcr.io': { endpoint: [`https://${address}`] },
  });
  assert.deepEqual(configs[address]?.tls, {
    ca_file: `${directory}/ca.crt`,
    cert_file: `${directory}/client.cert`,
    key_file: `${directory}/client.key`,
  });
  // Names that begin with the mirror's own name are pulled with their own login, not with the certificate.
  if (address === 'mirror.corp:443')
    assert.deepEqual(configs['mirror.corp']?.tls, { ca_file: `${directory}/ca.crt` });
}

test('registries.yaml of k3s and RKE2 has what their type has, and names files that the kit writes', async () => {
  for (const name of ['k3s', 'rke2']) {
    const directory = `/etc/rancher/${name}`;
    const read = await kit(name);
    assertRegistries(await read(`${directory}/registries.yaml`), `${directory}/hubgate`, 'mirror.corp:443');
    for (const file of ['ca.crt', 'client.cert', 'client.key']) await read(`${directory}/hubgate/${file}`);
    await assert.rejects(read(`${directory}/config.yaml.d/hubgate.yaml`));
    const strict = await kit(name, true);
    assert.deepEqual(parseYaml(await strict(`${directory}/config.yaml.d/hubgate.yaml`)), {
      'disable-default-registry-endpoint': true,
    });
  }
  await configure('https://mirror.corp:8443');
  const read = await kit('k3s');
  assertRegistries(
    await read('/etc/rancher/k3s/registries.yaml'),
    '/etc/rancher/k3s/hubgate',
    'mirror.corp:8443',
  );
});

/** Of k3d-io/k3d, pkg/config/v1alpha5/schema.json: as much as the kit uses, and nothing else. */
const K3D = z.strictObject({
  apiVersion: z.literal('k3d.io/v1alpha5'),
  kind: z.literal('Simple'),
  registries: z.strictObject({ config: z.string() }),
  options: z
    .strictObject({
      k3s: z.strictObject({
        extraArgs: z.array(z.strictObject({ arg: z.string(), nodeFilters: z.array(z.string()) })),
      }),
    })
    .optional(),
});

test('the file for k3d holds registries.yaml as text, and the flag of k3s with --strict', async () => {
  const read = await kit('k3d');
  const { registries, options } = K3D.parse(parseYaml(await read('hubgate-k3d.yaml')));
  assertRegistries(registries.config, '/etc/rancher/hubgate', 'mirror.corp:443');
  assert.equal(options, undefined);
  for (const file of ['ca.crt', 'client.cert', 'client.key']) await read(`hubgate/${file}`);
  const strict = K3D.parse(parseYaml(await (await kit('k3d', true))('hubgate-k3d.yaml')));
  assert.equal(strict.options?.k3s.extraArgs[0]?.arg, '--disable-default-registry-endpoint');
});

/** Of kubernetes-sigs/kind, pkg/apis/config/v1alpha4/types.go, which kind decodes strictly. */
const KIND = z.strictObject({
  kind: z.literal('Cluster'),
  apiVersion: z.literal('kind.x-k8s.io/v1alpha4'),
  containerdConfigPatches: z.array(z.string()),
  nodes: z.array(
    z.strictObject({
      role: z.enum(['control-plane', 'worker']),
      extraMounts: z.array(
        z.strictObject({ hostPath: z.string(), containerPath: z.string(), readOnly: z.boolean() }),
      ),
    }),
  ),
});

test('the file for kind mounts a directory of hosts.toml, whose files the kit writes', async () => {
  const read = await kit('kind', true);
  const { nodes, containerdConfigPatches } = KIND.parse(parseYaml(await read('hubgate-kind.yaml')));
  for (const patch of containerdConfigPatches)
    assert.deepEqual(JSON.parse(JSON.stringify(parseToml(patch))), {
      plugins: { 'io.containerd.grpc.v1.cri': { registry: { config_path: '/etc/containerd/certs.d' } } },
    });
  const mounts = nodes[0]?.extraMounts ?? [];
  /** A path of the node as the file that is mounted there. */
  const onHost = (file: string) => {
    const mount = mounts.find(({ containerPath }) => file.startsWith(`${containerPath}/`));
    return `${mount?.hostPath}${file.slice(mount?.containerPath.length)}`;
  };
  for (const upstream of ['docker.io', 'ghcr.io']) {
    const hosts = await read(onHost(`/etc/containerd/certs.d/${upstream}/hosts.toml`));
    const { server, host } = z
      .object({
        server: z.string(),
        host: z.record(z.string(), z.object({ ca: z.string(), client: z.array(z.array(z.string())) })),
      })
      .parse(parseToml(hosts));
    assert.equal(server, 'https://mirror.corp');
    for (const { ca, client } of Object.values(host))
      for (const file of [ca, ...client.flat()]) await read(onHost(file));
  }
});

test('minikube copies files for both of its runtimes', async () => {
  const read = await kit('minikube');
  for (const file of [
    'etc/containerd/certs.d/docker.io/hosts.toml',
    'etc/containerd/certs.d/mirror.corp/ca.crt',
    'etc/containerd/hubgate/client.key',
    'etc/docker/certs.d/mirror.corp/ca.crt',
    'etc/docker/certs.d/mirror.corp/client.cert',
    'etc/docker/certs.d/mirror.corp/client.key',
  ])
    assert.ok((await read(`.minikube/files/${file}`)).length > 0, file);
});

const PEM_AS_BASE64 = z
  .base64()
  .transform((text) => Buffer.from(text, 'base64').toString())
  .refine((text) => text.startsWith('-----BEGIN '));
/** Of siderolabs/talos, pkg/machinery/config/schemas/config.schema.json: `RegistriesConfig`. */
const TALOS = z.strictObject({
  machine: z.strictObject({
    registries: z.strictObject({
      mirrors: z.record(
        z.string(),
        z.strictObject({ endpoints: z.array(z.url()), skipFallback: z.boolean().optional() }),
      ),
      config: z.record(
        z.string(),
        z.strictObject({
          tls: z.strictObject({
            clientIdentity: z.strictObject({ crt: PEM_AS_BASE64, key: PEM_AS_BASE64 }).optional(),
            ca: PEM_AS_BASE64.optional(),
          }),
        }),
      ),
    }),
  }),
});

test('the patch for Talos holds the certificate and its key, so that only its owner may read it', async () => {
  const out = at('talos');
  const options = { home, json: true, for: 'node-7', strict: true, showSecrets: false, out };
  const { stdout } = await run((terminal) => clientConfig('talos', options, {}, terminal));
  assert.doesNotMatch(stdout, /LS0t|PRIVATE KEY/);
  const file = path.join(out, 'hubgate-talos.yaml');
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  const { mirrors, config } = TALOS.parse(parseYaml(await readFile(file, 'utf8'))).machine.registries;
  assert.deepEqual(mirrors['docker.io'], { endpoints: ['https://mirror.corp:443'], skipFallback: true });
  assert.match(config['mirror.corp:443']?.tls.clientIdentity?.key ?? '', /PRIVATE KEY/);
  assert.match(config['mirror.corp:443']?.tls.clientIdentity?.crt ?? '', /BEGIN CERTIFICATE/);
  assert.deepEqual(Object.keys(config['mirror.corp']?.tls ?? {}), ['ca']);
});
