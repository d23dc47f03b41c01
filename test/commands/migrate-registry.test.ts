import assert from 'node:assert/strict';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { setPassword } from '../../src/auth/identity/users-file.ts';
import { check } from '../../src/commands/check.ts';
import { migrate } from '../../src/commands/migrate/migrate.ts';
import type { Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import { makeAuthority } from '../support/certificates.ts';
import { run } from './support/terminal.ts';

const SECRET = 's3cr3t-of-the-hub';

let home: string;

beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'hubgate-registry-'));
  for (const name of ['config', 'certs', 'state']) await mkdir(path.join(home, name));
  const shipped = path.join(import.meta.dirname, '../../config/access.yaml');
  await copyFile(shipped, path.join(home, 'config/access.yaml'));
  await setPassword(
    path.join(home, 'config/users.yaml'),
    'ana',
    '$2y$05$LO.vzwpWC5LZGqThvEfznu8qhb5SGqvBSWY1J3yZ4AxtMRZ3kN5jC',
  );
  const { cert } = makeAuthority('test');
  await writeFile(path.join(home, 'certs/client-ca.pem'), cert);
});

afterEach(() => rm(home, { recursive: true }));

/**
 * What is printed for a configuration, and the settings that it comes to: `hubgate check` must find nothing
 * wrong.
 */
async function migrated(text: string) {
  const file = path.join(home, 'config.yml');
  await writeFile(file, text);
  const printed = await run((terminal) => migrate(file, terminal));
  assert.equal(printed.stderr, '');
  assert.doesNotMatch(printed.stdout, new RegExp(SECRET));
  await writeFile(path.join(home, 'config/hubgate.yaml'), printed.stdout);
  for (const [, secret] of printed.stdout.matchAll(/passwordFile: "?([^"\n]+)/g))
    await writeFile(path.join(home, secret ?? ''), SECRET, { mode: 0o600 });
  const checked = await run((terminal) => check({ home, json: false }, {}, terminal));
  assert.equal(checked.code, 0, checked.stderr);
  const loaded = await loadConfig({ directory: home, environment: {}, readsSecrets: true });
  assert.ok('value' in loaded);
  return { ...printed, config: loaded.value };
}

function hub({ upstreams }: Config) {
  return upstreams.find(({ host }) => host === 'docker.io');
}

test('a mirror of Docker Hub as the documentation has it', async () => {
  const { code, stdout, config } = await migrated(`
version: 0.1
log:
  fields: { service: registry }
storage:
  cache: { blobdescriptor: inmemory }
  filesystem: { rootdirectory: /var/lib/registry }
  delete: { enabled: true }
http:
  addr: :5000
  headers: { X-Content-Type-Options: [nosniff] }
health:
  storagedriver: { enabled: true, interval: 10s, threshold: 3 }
proxy:
  remoteurl: https://registry-1.docker.io
  username: acme-mirror
  password: ${SECRET}
  ttl: 72h
`);
  assert.equal(code, 1);
  assert.deepEqual(config.server.listen, { port: 5000 });
  assert.deepEqual(hub(config), {
    host: 'docker.io',
    url: 'https://registry-1.docker.io',
    insecure: false,
    credential: { username: 'acme-mirror', passwordFile: path.join(home, 'state/docker.io.password') },
  });
  assert.equal(config.cache.unusedFor, 3 * 86_400_000);
  assert.equal(config.cache.directory, '/var/lib/registry/hubgate');
  assert.match(stdout, /^# - server\.url: say there what clients type/m);
  assert.match(stdout, /^# - log\.fields: /m);
  assert.match(stdout, /^# - http\.headers: /m);
  assert.match(
    stdout,
    /^# - Put the password of proxy\.password into state\/docker\.io\.password: .*umask 077/m,
  );
  assert.match(stdout, /^# - storage: the cache is not taken over, .*\/var\/lib\/registry\/docker can go/m);
  assert.match(stdout, /^# - access\.yaml: that registry is open to everybody/m);
  assert.match(stdout, /^# - REGISTRY_PROXY_REMOTEURL, /m);
});

test('the path of the upstream is carried over', async () => {
  const { stdout, config } = await migrated(`
version: 0.1
storage: { filesystem: { rootdirectory: /var/lib/registry } }
proxy: { remoteurl: "https://harbor.corp.example/v2/dockerhub-proxy/" }
`);
  const { url } = config.upstreams.find(({ host }) => host === 'harbor.corp.example') ?? assert.fail();
  assert.equal(url, 'https://harbor.corp.example/v2/dockerhub-proxy');
  assert.match(
    stdout,
    /write docker\.io for .*, with url: https:\/\/harbor\.corp\.example\/v2\/dockerhub-proxy$/m,
  );
});

test('one with TLS and htpasswd, all of which is carried over', async () => {
  const [certificate, key] = [path.join(home, 'mirror.crt'), path.join(home, 'mirror.key')];
  const altNames = [{ type: 2, value: 'mirror.corp' }];
  const pair = makeAuthority('corp').issue({
    commonName: 'mirror.corp',
    altNames,
    usage: { serverAuth: true },
  });
  await writeFile(certificate, pair.cert);
  await writeFile(key, pair.key, { mode: 0o600 });
  const { code, stdout, config } = await migrated(`
version: 0.1
log: { level: debug, formatter: json, accesslog: { disabled: true } }
storage: { filesystem: { rootdirectory: /srv/cache }, delete: { enabled: false }, redirect: { disable: true } }
auth: { htpasswd: { realm: mirror, path: /auth/htpasswd } }
http:
  addr: 0.0.0.0:443
  host: https://mirror.corp
  secret: ${SECRET}
  tls:
    certificate: ${certificate}
    key: ${key}
    minimumtls: tls1.2
  debug: { addr: "127.0.0.1:5001", prometheus: { enabled: true, path: /metrics } }
proxy: { remoteurl: "https://index.docker.io", ttl: 0 }
`);
  assert.equal(code, 0, stdout);
  assert.equal(config.server.url, 'https://mirror.corp');
  assert.deepEqual(config.server.listen, { host: '0.0.0.0', port: 443 });
  assert.deepEqual(config.server.admin, { host: '127.0.0.1', port: 5001 });
  assert.deepEqual(config.tls, { certificate, key });
  assert.deepEqual([config.log.level, config.log.format], ['debug', 'json']);
  assert.equal(config.cache.unusedFor, 0);
  assert.equal(hub(config)?.url, 'https://registry-1.docker.io');
  assert.match(stdout, /hubgate user import \/auth\/htpasswd takes its users over/);
  assert.match(stdout, /whoever logs in may pull what is public\. .*add private: true/);
});

const CLIENT_CAS = 'clientcas: [/etc/tls/one.pem, /etc/tls/two.pem]';

test('a certificate that is all that clients need there is all that they need here', async () => {
  const { stdout, config } = await migrated(
    `version: 0.1\nhttp: { host: "https://mirror.corp", tls: { ${CLIENT_CAS} } }\nproxy: { remoteurl: "https://index.docker.io" }\n`,
  );
  assert.equal(config.tls.clientCa, path.join(home, 'certs/client-ca.pem'));
  assert.match(stdout, /cat \/etc\/tls\/one\.pem \/etc\/tls\/two\.pem > certs\/client-ca\.pem/);
  assert.match(stdout, /^# - access\.yaml: that registry is open to everybody with a certificate\./m);
  assert.doesNotMatch(stdout, /to: anonymous/);
});

test('a certificate that does not replace a login there does not replace it here', async () => {
  for (const auth of [
    'htpasswd: { realm: mirror, path: /auth/htpasswd }',
    'token: { realm: "https://a.corp" }',
  ])
    for (const mode of [
      '',
      ', clientauth: require-and-verify-client-cert',
      ', clientauth: verify-client-cert-if-given',
    ]) {
      const { code, stdout, config } = await migrated(
        `version: 0.1\nauth: { ${auth} }\nhttp: { host: "https://mirror.corp", tls: { ${CLIENT_CAS}${mode} } }\nproxy: { remoteurl: "https://index.docker.io" }\n`,
      );
      assert.equal(code, 1);
      assert.equal(config.tls.clientCa, undefined);
      assert.match(stdout, /^# - http\.tls\.clientcas is left out: there, a client needs a login as well/m);
      const isCertificateWanted = !mode.includes('if-given');
      assert.equal(stdout.includes('# - auth: there, a login needs a certificate too'), isCertificateWanted);
      assert.doesNotMatch(stdout, /is cert:NAME in access\.yaml/);
    }
});

test('one of another registry, on an object store, with what has no equal', async () => {
  const { code, stdout, config } = await migrated(`
version: 0.1
log: { level: trace, formatter: logstash }
storage: { s3: { accesskey: ${SECRET}, secretkey: ${SECRET}, region: eu-west-1, bucket: cache }, cache: { blobdescriptor: redis } }
auth: { token: { realm: "https://auth.corp/auth", service: mirror, issuer: auth, rootcertbundle: /certs/auth.crt } }
http:
  addr: :8443
  tls: { letsencrypt: { email: ops@corp.example, hosts: [mirror.corp.example], cachefile: /acme } }
redis: { addrs: ["redis:6379"], password: ${SECRET} }
notifications: { endpoints: [{ name: a, url: "https://hook.corp", headers: { Authorization: [${SECRET}] } }] }
proxy: { remoteurl: "http://registry.corp:5000/v2", username: bo, exec: { command: helper } }
`);
  assert.equal(code, 1);
  assert.equal(config.server.url, 'https://mirror.corp.example:8443');
  assert.deepEqual(config.upstreams[1], {
    host: 'registry.corp:5000',
    url: 'http://registry.corp:5000',
    insecure: true,
  });
  assert.deepEqual([config.log.level, config.log.format], ['debug', 'json']);
  assert.equal(config.cache.unusedFor, 7 * 86_400_000);
  for (const left of [
    'storage.s3',
    'auth.token',
    'http.tls.letsencrypt',
    'notifications',
    'proxy.exec',
    'proxy',
  ])
    assert.match(stdout, new RegExp(`^# - ${left.replaceAll('.', '\\.')}: `, 'm'));
  assert.match(stdout, /<mirror>\/registry\.corp:5000\/<image>/);
});

test('invariant 17: an upstream of one label gets its port, without which its names would mean Docker Hub’s', async () => {
  for (const [remote, host] of [
    ['https://nexus', 'nexus:443'],
    ['http://nexus', 'nexus:80'],
    ['https://nexus:8443', 'nexus:8443'],
  ] as const) {
    const { config, stdout } = await migrated(`version: 0.1\nproxy: { remoteurl: "${remote}" }\n`);
    assert.deepEqual(config.upstreams[1], { host, url: remote, insecure: remote.startsWith('http:') });
    assert.ok(stdout.includes(`<mirror>/${host}/<image>`));
  }
});

test('a registry that holds images is said to be none that Hubgate can take the place of; a password in a URL is not printed', async () => {
  const own = await migrated(
    'version: 0.1\nstorage: { filesystem: { rootdirectory: /r } }\nhttp: { addr: ":5000" }\n',
  );
  assert.equal(own.code, 1);
  assert.match(own.stdout, /^# - It has no proxy\.remoteurl that is an address: it holds images of its own/m);
  const url = `https://bo:${SECRET}@ghcr.io`;
  const { config } = await migrated(`version: 0.1\nproxy: { remoteurl: "${url}", ttl: 90m }\n`);
  assert.deepEqual(config.upstreams[1], { host: 'ghcr.io', url: 'https://ghcr.io', insecure: false });
  assert.equal(config.cache.unusedFor, 90 * 60_000);
});

test('nothing of somebody else’s file can end a comment, and what our keys do not take is left out', async () => {
  const { stdout, config } = await migrated(
    'version: 0.1\nauth: { htpasswd: { path: "/x\\nserver: { catalog: true }" } }\nhttp: { addr: "nowhere" }\nlog: { level: loud }\nproxy: { remoteurl: "https://docker.io", ttl: soon }\n',
  );
  assert.equal(config.server.catalog, false);
  assert.match(stdout, /^# - http\.addr is not what server\.listen takes: an address to listen on/m);
  assert.match(stdout, /^# - log\.level is not what log\.level takes: one of debug/m);
  assert.match(stdout, /^# - proxy\.ttl is no duration/m);
  assert.equal(await readFile(path.join(home, 'config/hubgate.yaml'), 'utf8'), stdout);
});

test('names of files are single words of the lines that are to be pasted', async () => {
  const file = path.join(home, 'config.yml');
  const printed = async (setting: string) => {
    await writeFile(file, `version: 0.1\n${setting}\nproxy: { remoteurl: "https://index.docker.io" }\n`);
    return (await run((terminal) => migrate(file, terminal))).stdout;
  };
  assert.match(
    await printed('http: { tls: { clientcas: ["/a; rm -rf b", /etc/two.pem] } }'),
    /cat '\/a; rm -rf b' \/etc\/two\.pem > certs\/client-ca\.pem/,
  );
  assert.match(
    await printed('auth: { htpasswd: { path: "$(touch x)" } }'),
    /hubgate user import '\$\(touch x\)' takes/,
  );
});
