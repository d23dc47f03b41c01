import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { parse } from 'smol-toml';
import { parseAllDocuments, parse as parseYaml } from 'yaml';
import { type ClientConfigOptions, clientConfig } from '../../src/commands/client-config/client-config.ts';
import { PROVIDER_SCRIPT } from '../../src/commands/client-config/kubelet-provider.ts';
import { pathsIn } from '../../src/config/home.ts';
import { ensureServerCertificate } from '../../src/pki/local-ca.ts';
import { run } from './support/terminal.ts';

const FIXTURES = path.join(import.meta.dirname, 'fixtures/kubelet');
const SHELLS: readonly (readonly [string, ...string[]])[] = (
  [['sh'], ['dash'], ['busybox', 'sh'], ['bash', '--posix'], ['zsh', '--emulate', 'sh']] as const
).filter(([command, ...args]) => spawnSync(command, [...args, '-c', ':']).status === 0);
const TOKEN = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln_-';
const EMPTY = JSON.parse(
  '{"apiVersion":"credentialprovider.kubelet.k8s.io/v1","kind":"CredentialProviderResponse","cacheKeyType":"Registry","cacheDuration":"0s","auth":{}}',
);

let home: string;

before(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'hubgate-service-accounts-'));
  await configure('server: { url: "https://mirror.corp:8443" }\nupstreams: { docker.io: , ghcr.io: }');
  const server = { certificate: at('certs/server.crt'), key: at('certs/server.key') };
  await ensureServerCertificate({ ca: pathsIn(home).ca, server, names: ['mirror.corp'], clock: Date.now });
  await writeFile(at('provider'), PROVIDER_SCRIPT);
});

after(() => rm(home, { recursive: true }));

function at(...names: string[]): string {
  return path.join(home, ...names);
}

async function configure(yaml: string): Promise<void> {
  await mkdir(at('config'), { recursive: true });
  await writeFile(at('config/hubgate.yaml'), yaml);
}

function call(client: string, more: Partial<ClientConfigOptions> = {}) {
  const options = { home, json: true, strict: false, serviceAccounts: true, showSecrets: false, ...more };
  return run((terminal) => clientConfig(client, options, {}, terminal));
}

interface Kit {
  readonly subject: string;
  readonly credential: unknown;
  readonly files: readonly { readonly path: string; readonly mode: string; readonly content: string }[];
  readonly notes: Readonly<Record<string, readonly string[]>>;
}

async function kit(): Promise<Kit> {
  const { code, stdout, stderr } = await call('kubernetes');
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

function fileIn({ files }: Kit, name: string): string {
  const found = files.find((one) => one.path.endsWith(name));
  assert.ok(found, `no ${name}`);
  return found.content;
}

function fixture(name: string): Promise<string> {
  return readFile(path.join(FIXTURES, name), 'utf8');
}

/** The answer of the provider in each shell that this machine has; they must agree. */
function answer(input: string, ...registries: string[]): unknown {
  const answers = SHELLS.map(([command, ...args]) => {
    const asked = [...args, at('provider'), ...registries];
    const { status, stdout, stderr } = spawnSync(command, asked, { input, encoding: 'utf8' });
    assert.equal(status, 0, `${command}: ${stderr}`);
    assert.equal(stderr, '', command);
    return stdout;
  });
  assert.equal(new Set(answers).size, 1, answers.join(''));
  return JSON.parse(answers[0] ?? '');
}

function request(fields: object): string {
  const head = { kind: 'CredentialProviderRequest', apiVersion: 'credentialprovider.kubelet.k8s.io/v1' };
  return JSON.stringify({ ...head, image: 'docker.io/library/nginx:1.29', ...fields });
}

test('the provider answers kubelet with the token of the pod for each of its registries', async () => {
  const input = await fixture('request.json');
  assert.deepEqual(
    answer(input, 'docker.io', 'mirror.corp:8443'),
    JSON.parse(await fixture('response.json')),
  );
  // The last line of a text need not end.
  assert.notDeepEqual(answer(input.trim(), 'docker.io'), EMPTY);
  assert.notDeepEqual(answer(JSON.stringify(JSON.parse(input), null, 2), 'docker.io'), EMPTY);
});

test('without a token, or with one that is no JWT, the provider answers that there is no credential', () => {
  const hostile = [
    '',
    'no.jwt',
    'a.b.c","x":"y',
    'a.b.c\\',
    'a.b.c\n',
    'a.b.$(touch /tmp/x)',
    'a.b.`id`',
    'a.b.%s%n',
    "a.b.'c",
    'a.b. c',
    'a.b.é',
    'a.b.c/d',
  ];
  for (const serviceAccountToken of hostile)
    assert.deepEqual(answer(request({ serviceAccountToken }), 'docker.io'), EMPTY, serviceAccountToken);
  for (const input of [
    '',
    '\n',
    'null',
    '{}',
    'no JSON',
    request({}),
    request({ serviceAccountToken: null }),
  ])
    assert.deepEqual(answer(input, 'docker.io'), EMPTY, input);
  assert.deepEqual(answer(request({ serviceAccountToken: null, more: 'a.b.c' }), 'docker.io'), EMPTY);
  assert.deepEqual(answer(request({ serviceAccountToken: TOKEN })), EMPTY);
});

test('an annotation or an image that looks like a token is not taken for one', () => {
  const forged = '"serviceAccountToken":"evil.evil.evil"';
  for (const fields of [
    { image: forged },
    { image: `x\\${forged}` },
    { serviceAccountAnnotations: { serviceAccountToken: 'evil.evil.evil' } },
    { serviceAccountAnnotations: { a: forged } },
  ])
    assert.deepEqual(answer(request(fields), 'docker.io'), EMPTY, JSON.stringify(fields));
  const both = { serviceAccountToken: TOKEN, serviceAccountAnnotations: { serviceAccountToken: 'evil.e.e' } };
  assert.deepEqual(answer(request(both), 'docker.io'), {
    ...EMPTY,
    auth: { 'docker.io': { username: 'oidc', password: TOKEN } },
  });
});

test('the provider takes no argument that would end the JSON text of a registry', () => {
  for (const wrong of ['', 'docker.io"', 'a\\', 'a b', '$(id)', 'x\ny'])
    for (const [command, ...args] of SHELLS) {
      const { status, stdout } = spawnSync(command, [...args, at('provider'), 'docker.io', wrong], {
        input: request({ serviceAccountToken: TOKEN }),
        encoding: 'utf8',
      });
      assert.deepEqual([status, stdout], [2, ''], `${command}: ${wrong}`);
    }
});

test('kubelet asks the provider for the mirrored registries and the mirror, with an audience of its own', async () => {
  const made = await kit();
  assert.equal(made.credential, null);
  assert.equal(made.subject, 'oidc:cluster:system:serviceaccount:NAMESPACE:NAME');
  const config = parseYaml(fileIn(made, 'hubgate-credential-provider.yaml'));
  assert.deepEqual(config, parseYaml(await fixture('config.yaml')));
  const [role, binding] = parseAllDocuments(fileIn(made, 'rbac.yaml')).map((one) => one.toJS());
  assert.deepEqual(role.rules, [
    { apiGroups: [''], resources: ['mirror.corp'], verbs: ['request-serviceaccounts-token-audience'] },
  ]);
  assert.deepEqual([binding.roleRef.name, binding.subjects[0].name], [role.metadata.name, 'system:nodes']);
  const script = made.files.find(({ path: file }) => file.endsWith('/hubgate-credential-provider'));
  assert.deepEqual([script?.mode, script?.content], ['0755', PROVIDER_SCRIPT]);
});

test('every hosts.toml names the mirror alone and no certificate, because it gets the tokens of pods', async () => {
  const made = await kit();
  for (const name of ['docker.io', 'ghcr.io', 'mirror.corp:8443']) {
    const ca = '/etc/containerd/certs.d/mirror.corp:8443/ca.crt';
    const url = 'https://mirror.corp:8443';
    const toml = JSON.parse(JSON.stringify(parse(fileIn(made, `/${name}/hosts.toml`))));
    assert.deepEqual(toml, { server: url, ca, host: { [url]: { ca } } });
  }
});

test('a federation of the cluster that is configured gives the name and the audience; else the kit has one', async () => {
  const proposed = parseYaml(fileIn(await kit(), 'hubgate-federation.yaml'));
  assert.deepEqual(proposed.federation.cluster, {
    issuer: 'https://kubernetes.default.svc',
    audience: 'mirror.corp',
    subject: '${sub}',
  });
  const own = { issuer: 'https://k8s.corp', audience: 'registry-of-corp', subject: '${sub}' };
  const ci = { issuer: 'https://gitlab.com', audience: 'x', subject: '${sub}' };
  await configure(
    JSON.stringify({
      server: { url: 'https://mirror.corp:8443' },
      federation: { gitlab: ci, 'prod-1': own },
    }),
  );
  const made = await kit();
  assert.equal(made.subject, 'oidc:prod-1:system:serviceaccount:NAMESPACE:NAME');
  const config = parseYaml(fileIn(made, 'hubgate-credential-provider.yaml'));
  assert.equal(config.providers[0].tokenAttributes.serviceAccountTokenAudience, 'registry-of-corp');
  assert.equal(
    made.files.some(({ path: file }) => file === 'hubgate-federation.yaml'),
    false,
  );
});

test('the script that is written may be run', async () => {
  const out = at('out');
  assert.equal((await call('kubernetes', { out })).code, 0);
  const script = path.join(out, 'etc/kubernetes/credential-providers/hubgate-credential-provider');
  assert.equal((await stat(script)).mode & 0o777, 0o755);
});

test('--service-accounts is for kubernetes, and without a name', async () => {
  for (const [client, more] of [
    ['containerd', {}],
    ['kubernetes', { for: 'node-7' }],
  ] as const) {
    const { code, stderr } = await call(client, more);
    assert.equal(code, 2);
    assert.match(stderr, /--service-accounts/);
  }
});
