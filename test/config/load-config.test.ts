import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { type Config, settingsFor } from '../../src/config/config.ts';
import { describeEgress } from '../../src/config/egress.ts';
import type { Environment } from '../../src/config/environment.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import { namedSecretsOf } from '../../src/launch/secret-files.ts';
import { formatFault } from '../../src/platform/fault.ts';
import { makeAuthority } from '../support/certificates.ts';

let directory: string;

before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-config-'));
  await mkdir(path.join(directory, 'config'));
});

after(() => rm(directory, { recursive: true }));

async function load(text: string | undefined, environment: Environment = {}, readsSecrets = true) {
  const file = path.join(directory, 'config', 'hubgate.yaml');
  await (text === undefined ? rm(file, { force: true }) : writeFile(file, text, { mode: 0o600 }));
  return loadConfig({ directory, environment, readsSecrets, judgesModes: true });
}

async function configOf(text: string | undefined, environment: Environment = {}) {
  const loaded = await load(text, environment);
  assert.ok('value' in loaded, 'faults' in loaded ? loaded.faults.map(formatFault).join('\n') : '');
  return loaded.value;
}

async function faultsOf(text: string, environment: Environment = {}): Promise<string[]> {
  const loaded = await load(text, environment);
  return 'faults' in loaded ? loaded.faults.map(formatFault) : [];
}

function hostsOf({ upstreams }: Config): string[] {
  return upstreams.map(({ host }) => host);
}

test('no file, an empty one and one of empty sections give the same defaults', async () => {
  const config = await configOf(undefined);
  assert.equal(config.server.url, 'https://localhost:8443');
  assert.deepEqual(config.server.listen, { port: 8443 });
  assert.deepEqual(config.server.admin, { host: '127.0.0.1', port: 9090 });
  assert.deepEqual(
    config.upstreams.map(({ host, url }) => [host, url]),
    [['docker.io', 'https://registry-1.docker.io']],
  );
  assert.equal(config.cache.tagFreshness, 60_000);
  assert.equal(config.cache.staleIfError, 604_800_000);
  assert.equal(config.cache.maxSize, 'auto');
  assert.equal(config.cache.unusedFor, 2_592_000_000);
  assert.equal(config.tokenLifetime, 300_000);
  assert.deepEqual(config.passwords, { memory: 19_922_944, passes: 2 });
  assert.equal(config.log.audit, path.join(directory, 'state/audit.log'));
  assert.deepEqual(await configOf(''), config);
  assert.deepEqual(await configOf('server:\nupstreams:\n  docker.io:\n'), config);
});

test('what the file says holds, and Docker Hub stays where another upstream is added', async () => {
  await writeFile(path.join(directory, 'hub-token'), 's3cret', { mode: 0o600 });
  const config = await configOf(`
server: { url: "https://mirror.corp", names: [mirror, 10.1.2.3], listen: "[::1]:443", workers: 3 }
upstreams:
  docker.io: { username: acme-mirror, passwordFile: hub-token }
  ghcr.io: {}
  registry.corp:5000: { url: "http://127.0.0.1:5000" }
cache: { tagFreshness: 0, staleIfError: 12h, maxSize: 512MiB, unusedFor: 0 }
`);
  assert.deepEqual(config.server.names, [
    'mirror.corp',
    'mirror',
    '10.1.2.3',
    'localhost',
    '127.0.0.1',
    '::1',
  ]);
  assert.deepEqual(config.server.listen, { host: '::1', port: 443 });
  assert.equal(config.server.workers, 3);
  assert.deepEqual(
    config.upstreams.map(({ host }) => host),
    ['docker.io', 'ghcr.io', 'registry.corp:5000'],
  );
  assert.deepEqual(config.upstreams[0]?.credential, {
    username: 'acme-mirror',
    passwordFile: path.join(directory, 'hub-token'),
  });
  assert.equal(config.cache.tagFreshness, 0);
  assert.equal(config.cache.staleIfError, 43_200_000);
  assert.equal(config.cache.maxSize, 512 * 1024 * 1024);
  assert.equal(config.cache.unusedFor, 0);
});

test('balancers are networks and addresses, and none is the default', async () => {
  const { server } = await configOf(
    'server: { proxyProtocol: [10.0.0.0/24, "2001:db8::5"], trustedProxies: ["::1"] }',
  );
  assert.deepEqual(server.proxyProtocol, ['10.0.0.0/24', '2001:db8::5']);
  assert.deepEqual(server.trustedProxies, ['::1']);
  const { server: usual } = await configOf('');
  assert.deepEqual([usual.proxyProtocol, usual.trustedProxies], [[], []]);
  assert.deepEqual(await faultsOf('server: { proxyProtocol: [10.0.0.0/33], trustedProxies: balancer }'), [
    'config/hubgate.yaml:1:27: entry 1 of server.proxyProtocol: found "10.0.0.0/33", expected a network such as 10.0.0.0/24, or an address',
    'config/hubgate.yaml:1:57: server.trustedProxies: found "balancer", expected a list of networks and addresses, such as [10.0.0.0/24, 192.0.2.7]',
  ]);
});

test('server.plain is off by default, and has a port of its own', async () => {
  assert.equal((await configOf('')).server.plain, undefined);
  const { server } = await configOf('server: { plain: "127.0.0.1:8080" }');
  assert.deepEqual(server.plain, { host: '127.0.0.1', port: 8080 });
  for (const [other, name] of [
    ['127.0.0.1:8443', 'server.listen'],
    [':9090', 'server.admin'],
  ])
    assert.match(
      (await faultsOf(`server: { plain: "${other}" }`)).join(),
      new RegExp(`^config/hubgate.yaml:1:18: port \\d+ is also that of ${name}; choose another one$`),
    );
});

test('every scalar can be set from the environment, which then is what a fault names', async () => {
  const config = await configOf('cache: { tagFreshness: 5m }', {
    HUBGATE_CACHE_TAG_FRESHNESS: '30s',
    HUBGATE_SERVER_WORKERS: '2',
    HUBGATE_UPSTREAMS_DOCKER_IO_USERNAME: 'acme',
    HUBGATE_UPSTREAMS_DOCKER_IO_PASSWORD: '12345',
    PATH: '/bin',
  });
  assert.equal(config.cache.tagFreshness, 30_000);
  assert.equal(config.server.workers, 2);
  assert.deepEqual(config.upstreams[0]?.credential, {
    username: 'acme',
    password: '12345',
  });
  assert.deepEqual(await faultsOf('', { HUBGATE_CACHE_TAG_FRESHNESS: 'soon', HUBGATE_CACHE_SIZE: '1' }), [
    'HUBGATE_CACHE_SIZE: no setting has this name; see docs/configuration.md for those that do',
    'HUBGATE_CACHE_TAG_FRESHNESS: cache.tagFreshness: found "soon", expected a duration such as 60s, 5m, 12h or 7d',
  ]);
});

test('variables that Kubernetes makes of a service called hubgate are nobody’s mistake; a list is no variable', async () => {
  const variables = {
    HUBGATE_SERVICE_HOST: '10.0.0.1',
    HUBGATE_SERVICE_PORT: '443',
    HUBGATE_SERVICE_PORT_HTTPS: '443',
    HUBGATE_PORT: 'tcp://10.0.0.1:443',
    HUBGATE_PORT_443_TCP: 'tcp://10.0.0.1:443',
    HUBGATE_PORT_443_TCP_ADDR: '10.0.0.1',
    HUBGATE_ADMIN_SERVICE_HOST: '10.0.0.2',
    HUBGATE_ADMIN_PORT_9090_TCP_PROTO: 'tcp',
  };
  assert.deepEqual(await faultsOf('', variables), []);
  for (const mistake of [{ HUBGATE_SERVER_NAMES: 'a' }, { HUBGATE_SERVER_PORT: '443' }]) {
    assert.match((await faultsOf('', mistake))[0] ?? '', /no setting has this name/);
  }
});

test('the variables of the registry image set the docker.io upstream', async () => {
  const { upstreams } = await configOf(undefined, {
    REGISTRY_PROXY_REMOTEURL: 'https://registry-1.docker.io',
    REGISTRY_PROXY_USERNAME: 'acme',
    REGISTRY_PROXY_PASSWORD: 'pw',
  });
  assert.deepEqual(upstreams[0]?.credential, {
    username: 'acme',
    password: 'pw',
  });
});

test('all faults come at once, with line and column, and without the secret', async () => {
  assert.deepEqual(
    await faultsOf(`server: { url: "http://mirror.corp", port: 8443 }
upstreams:
  docker.io: { username: acme, passwordFile: /nowhere/token }
  ghcr.io: { url: "http://ghcr.io", password: hunter2 }
  Bad Host: {}
cache: { maxSze: 1, tagFreshness: 60 }
token: { lifetime: 1h }
`),
    [
      'config/hubgate.yaml:1:16: server.url: found "http://mirror.corp", expected the address that clients type, such as https://mirror.corp; write https://mirror.corp',
      'config/hubgate.yaml:1:38: unknown key "server.port"; known here: url, names, listen, admin, proxyProtocol, trustedProxies, plain, catalog, workers',
      'config/hubgate.yaml:3:46: the secret file cannot be read: there is no such file',
      'config/hubgate.yaml:4:12: a username needs exactly one of passwordFile and password, and these need a username',
      'config/hubgate.yaml:4:19: http://ghcr.io would be asked without TLS; use https, or say "insecure: true"',
      'config/hubgate.yaml:5:3: "Bad Host" is no host; expected one such as ghcr.io or registry.corp:5000',
      'config/hubgate.yaml:6:10: unknown key "cache.maxSze"; did you mean "maxSize"?',
      'config/hubgate.yaml:6:35: cache.tagFreshness: found 60, expected a duration such as 60s, 5m, 12h or 7d; write 60s',
      'config/hubgate.yaml:7:20: token.lifetime: found "1h", expected a duration such as 60s, 5m, 12h or 7d between 60s and 5m',
    ],
  );
});

test('invariant 17: a host that names something else before an image is refused, with what to write instead', async () => {
  assert.deepEqual(await faultsOf('upstreams: { nexus: { url: "https://nexus" } }'), [
    'config/hubgate.yaml:1:14: "nexus" has neither a dot nor a port, so that "nexus/tool" means docker.io/nexus/tool to every client; write "nexus:443", or its full name, and "url: https://nexus" below it',
  ]);
  assert.deepEqual(await faultsOf('upstreams: { index.docker.io: { url: "https://registry.corp" } }'), [
    'config/hubgate.yaml:1:14: "index.docker.io" is another name of docker.io; write docker.io',
  ]);
  for (const host of ['nexus:443', 'nexus.corp', 'localhost', 'localhost:5000', '10.0.0.1'])
    assert.deepEqual(await faultsOf(`upstreams: { "${host}": { url: "https://nexus" } }`), [], host);
});

test('an upstream without TLS is accepted on loopback, or where the file says that it is meant', async () => {
  for (const url of ['http://localhost:5000', 'http://127.0.0.2:5000', 'http://[::1]:5000']) {
    assert.deepEqual(await faultsOf(`upstreams: { docker.io: { url: "${url}" } }`), [], url);
  }
  assert.equal((await faultsOf('upstreams: { docker.io: { url: "http://10.0.0.1:5000" } }')).length, 1);
  assert.deepEqual(
    await faultsOf('upstreams: { docker.io: { url: "http://10.0.0.1:5000", insecure: true } }'),
    [],
  );
});

test('an upstream may be below a path, and what cannot be one is named', async () => {
  const urlOf = async (url: string) =>
    (await configOf(`upstreams: { docker.io: { url: "${url}" } }`)).upstreams[0]?.url;
  assert.equal(await urlOf('https://harbor.corp/v2/hub/'), 'https://harbor.corp/v2/hub');
  assert.equal(await urlOf('https://harbor.corp/'), 'https://harbor.corp');
  const wrong = [
    ['https://harbor.corp/a%2fb', /; "a%2fb" cannot be a part of its path/],
    ['https://harbor.corp/hub?x=1', /; nothing follows its path/],
    ['https://u:p@harbor.corp', /; a login has keys of its own/],
    ['ftp://x.corp', /expected the address of a registry, such as \S+ or \S+;/],
  ] as const;
  for (const [url, reason] of wrong) {
    const faults = await faultsOf(`upstreams: { docker.io: { url: "${url}" } }`);
    assert.match(faults.join('\n'), reason);
  }
});

test('the authorities and token services of an upstream are read, and their faults have a place', async () => {
  const file = path.join(directory, 'corp-ca.crt');
  await writeFile(file, makeAuthority('corp').cert);
  const services = 'tokenServices: ["https://login.other.example"]';
  const config = await configOf(`upstreams: { r.corp: { ca: corp-ca.crt, ${services} } }`);
  const { ca, tokenServices } = config.upstreams.find(({ host }) => host === 'r.corp') ?? assert.fail();
  assert.deepEqual({ ca, tokenServices }, { ca: file, tokenServices: ['https://login.other.example'] });
  const faults = await faultsOf(
    'upstreams:\n  r.corp: { ca: nowhere.crt, tokenServices: ["http://login.other.example"] }\n',
  );
  assert.match(faults.join('\n'), /the file cannot be read: there is no such file/);
  assert.match(faults.join('\n'), /login\.other\.example would be asked without TLS/);
  assert.match(
    (await faultsOf('upstreams: { r.corp: { tokenServices: ["https://a.example/token"] } }')).join('\n'),
    /entry 1 of upstreams\.r\.corp\.tokenServices: .*expected a token service, such as/,
  );
});

test('a credential helper takes the place of a login, with the variables that it needs', async () => {
  const environment = { PATH: '/bin', HOME: '/root', AWS_REGION: 'eu', OTHER: 'x' };
  const text = (more: string) => `upstreams: { r.corp: { credentialHelper: ecr-login, ${more} } }`;
  const helped = await configOf(text('credentialEnvironment: [AWS_REGION, AWS_PROFILE]'), environment);
  assert.deepEqual(helped.upstreams.at(-1)?.credential, {
    helper: 'ecr-login',
    environment: { PATH: '/bin', HOME: '/root', AWS_REGION: 'eu' },
  });
  assert.doesNotMatch(JSON.stringify([settingsFor('auth', helped), settingsFor('gateway', helped)]), /"eu"/);
  assert.match(
    (await faultsOf(text('username: ana, password: x'))).join('\n'),
    /gives the username and the password/,
  );
  assert.match((await faultsOf(text('credentialEnvironment: ["A=B"]'))).join('\n'), /such as AWS_REGION/);
  const wrong = [
    ['credentialHelper: ../evil', /the name of a credential helper/],
    ['credentialEnvironment: [A]', /there is no credentialHelper/],
  ] as const;
  for (const [settings, reason] of wrong)
    assert.match((await faultsOf(`upstreams: { r.corp: { ${settings} } }`)).join('\n'), reason);
});

const PROXIES = {
  https_proxy: 'http://low.corp:1',
  HTTPS_PROXY: 'http://mirror:pr0xy-s3cret@proxy.corp:3128',
  http_proxy: 'other.corp:8080',
  NO_PROXY: '.corp, 10.0.0.0/8',
};

test('the proxy is that of hubgate.yaml, else that of the environment, in either case', async () => {
  const login = { username: 'mirror', password: 'pr0xy-s3cret' };
  const { egress } = await configOf('', PROXIES);
  assert.deepEqual(egress, {
    https: { url: 'http://proxy.corp:3128', login, setBy: 'HTTPS_PROXY' },
    http: { url: 'http://other.corp:8080', setBy: 'http_proxy' },
    noProxy: ['.corp', '10.0.0.0/8'],
  });
  assert.equal(
    describeEgress(egress),
    'http://proxy.corp:3128 (HTTPS_PROXY), for http:// http://other.corp:8080 (http_proxy), except for .corp, 10.0.0.0/8',
  );
  assert.deepEqual((await configOf('', { no_proxy: 'a b', HTTPS_PROXY: ' ' })).egress, {
    noProxy: ['a', 'b'],
  });
  await writeFile(path.join(directory, 'proxy-password'), 's3cret', { mode: 0o600 });
  const file =
    'egress: { proxy: "https://p.corp", username: ana, passwordFile: proxy-password, noProxy: [] }';
  const passwordFile = path.join(directory, 'proxy-password');
  const proxy = {
    url: 'https://p.corp',
    setBy: 'egress.proxy',
    login: { username: 'ana', passwordFile },
  };
  assert.deepEqual((await configOf(file, PROXIES)).egress, { https: proxy, http: proxy, noProxy: [] });
});

test('a proxy that cannot be used is a fault that names where it is set, and nothing of a password', async () => {
  const wrong = [
    [
      '',
      { HTTPS_PROXY: 'socks5://u:pr0xy-s3cret@p.corp' },
      /^HTTPS_PROXY: it is not the address of an HTTP proxy/,
    ],
    [
      'egress: { proxy: "socks5://u:pr0xy-s3cret@p.corp" }',
      {},
      /:1:18: egress\.proxy: found something else, expected/,
    ],
    ['egress: { proxy: p.corp, username: ana }', {}, /belong together/],
    ['egress: { username: ana, passwordFile: x }', {}, /belong together/],
    [
      'egress: { proxy: "u:pr0xy-s3cret@p.corp", username: ana, passwordFile: x }',
      {},
      /a login in its address/,
    ],
    ['egress: { proxy: p.corp, username: ana, passwordFile: missing }', {}, /the secret file cannot be read/],
    ['egress: { ca: missing }', {}, /the file cannot be read/],
    [
      'upstreams: { docker.io: { url: "https://u:pr0xy-s3cret@hub.corp" } }',
      {},
      /found "https:\/\/u:…@hub\.corp"/,
    ],
  ] as const;
  for (const [text, environment, reason] of wrong) {
    const faults = (await faultsOf(text, environment)).join('\n');
    assert.match(faults, reason);
    assert.doesNotMatch(faults, /pr0xy/);
  }
});

test('invariant 5: what other roles than the core are given holds no credential, and no proxy that they need not have', async () => {
  const issuer = 'federation: { ci: { issuer: "https://issuer.example", audience: m, subject: "${sub}" } }';
  const upstream = 'upstreams: { docker.io: { username: acme, password: hub-s3cret } }';
  const alone = await configOf(upstream, PROXIES);
  const federated = await configOf(`${upstream}\n${issuer}`, PROXIES);
  for (const role of ['auth', 'gateway'] as const) {
    assert.doesNotMatch(JSON.stringify(settingsFor(role, alone)), /s3cret/);
    assert.doesNotMatch(JSON.stringify(settingsFor(role, federated)), /hub-s3cret/);
  }
  assert.equal(settingsFor('auth', federated).egress, federated.egress);
  assert.doesNotMatch(JSON.stringify(settingsFor('gateway', federated)), /s3cret/);
});

test('the gateways of a node know its name, and not the database of the cluster', async () => {
  const config = await configOf(
    'cluster: { database: "postgres://hubgate:s3cret@db.corp/hubgate", node: n1 }',
  );
  const gateway = settingsFor('gateway', config);
  assert.equal(gateway.node, 'n1');
  assert.doesNotMatch(JSON.stringify(gateway), /s3cret|db\.corp/);
  assert.deepEqual(settingsFor('auth', config).cluster, config.cluster);
});

const OBJECTS =
  'endpoint: "https://s3.corp", bucket: hubgate, accessKeyFile: /nowhere/a-key, secretKeyFile: /nowhere/s-key';
const withObjects = (objects: string) =>
  `cluster: { database: "postgres://db.corp/hubgate", node: n1, objects: { ${objects} } }`;

test('only the core is told of the object store', async () => {
  const loaded = await load(withObjects(`${OBJECTS}, prefix: mirror/eu/`), {}, false);
  assert.ok('value' in loaded);
  assert.deepEqual(loaded.value.cluster?.objects, {
    endpoint: 'https://s3.corp',
    bucket: 'hubgate',
    prefix: 'mirror/eu',
    region: 'us-east-1',
    accessKeyFile: '/nowhere/a-key',
    secretKeyFile: '/nowhere/s-key',
  });
  for (const role of ['auth', 'gateway'] as const)
    assert.doesNotMatch(JSON.stringify(settingsFor(role, loaded.value)), /s3\.corp|a-key|s-key/);
  assert.deepEqual(namedSecretsOf('core', loaded.value), ['/nowhere/a-key', '/nowhere/s-key']);
});

test('the environment sets the object store', async () => {
  const environment = {
    HUBGATE_CLUSTER_OBJECTS_ENDPOINT: 'http://127.0.0.1:9000',
    HUBGATE_CLUSTER_OBJECTS_BUCKET: 'hubgate',
    HUBGATE_CLUSTER_OBJECTS_ACCESS_KEY_FILE: '/nowhere/a-key',
    HUBGATE_CLUSTER_OBJECTS_SECRET_KEY_FILE: '/nowhere/s-key',
  };
  const loaded = await load('cluster: { database: "postgres://db.corp/hubgate" }', environment, false);
  assert.ok('value' in loaded);
  assert.equal(loaded.value.cluster?.objects?.endpoint, 'http://127.0.0.1:9000');
});

test('an object store that is incomplete or unsafe is a fault at its key', async () => {
  const wrong = [
    ['bucket: hubgate', /an object store needs endpoint, accessKeyFile, secretKeyFile/],
    [OBJECTS.replace('https:', 'http:'), /http:\/\/s3\.corp would be asked without TLS/],
    [`${OBJECTS}, secretKey: x`, /the secret key is in a file; write secretKeyFile/],
    [`${OBJECTS}, prefix: ../other`, /expected a prefix of keys/],
    [OBJECTS.replace('bucket: hubgate', 'bucket: No_Bucket'), /expected the name of a bucket/],
    [OBJECTS, /the secret file cannot be read: there is no such file/],
  ] as const;
  for (const [objects, reason] of wrong)
    assert.match((await faultsOf(withObjects(objects))).join('\n'), reason);
  const insecure = `${OBJECTS.replace('https:', 'http:')}, insecure: true`;
  assert.ok('value' in (await load(withObjects(insecure), {}, false)));
});

test('a gateway that is started alone does not need the database of the cluster; the other roles do', async () => {
  const environment = { HUBGATE_CLUSTER_NODE: 'n1' };
  const home = { directory: '/nowhere', environment, readsSecrets: false };
  const loaded = await loadConfig({ ...home, needsNoDatabase: true });
  assert.ok('value' in loaded);
  assert.equal(loaded.value.node, 'n1');
  assert.equal(loaded.value.cluster, undefined);
  const refused = await loadConfig(home);
  assert.ok('faults' in refused);
  assert.match(refused.faults.map(formatFault).join(), /a cluster needs a database/);
});

test('in front of an external core there is one upstream, and no credential here', async () => {
  const core = 'core: { url: "http://registry:5000" }';
  assert.deepEqual(hostsOf(await configOf(core)), ['docker.io']);
  assert.deepEqual(hostsOf(await configOf(`${core}\nupstreams: { quay.io: {} }`)), ['quay.io']);
  assert.match(
    (await faultsOf(`${core}\nupstreams: { quay.io: {}, ghcr.io: {} }`))[0] ?? '',
    /2:27: a core at core\.url/,
  );
  const credential = await faultsOf(`${core}\nupstreams: { docker.io: { username: a, password: b } }`);
  assert.match(credential[0] ?? '', /2:25: with core\.url the credential belongs to that core/);
});

test('a secret file is a fault only where it is read', async () => {
  const secret = path.join(directory, 'unreadable');
  await writeFile(secret, 'x');
  await chmod(secret, 0o000);
  const text = 'upstreams: { docker.io: { username: a, passwordFile: missing } }';
  assert.equal((await faultsOf(text)).length, 1);
  assert.ok('value' in (await load(text, {}, false)));
  await writeFile(path.join(directory, 'empty'), '');
  const of = (file: string) => faultsOf(`upstreams: { docker.io: { username: a, passwordFile: ${file} } }`);
  assert.match((await of('empty'))[0] ?? '', /^config\/hubgate\.yaml:1:54: the secret file is empty$/);
  assert.match((await of('config'))[0] ?? '', /^config\/hubgate\.yaml:1:54: the secret file is a directory$/);
  const elsewhere = 'upstreams: { docker.io: { username: a } }';
  assert.equal((await faultsOf(elsewhere)).length, 1);
  assert.ok('value' in (await load(elsewhere, {}, false)));
});

test('a secret that others may read, or the group may write, is a fault that says what to type', async () => {
  const file = path.join(directory, 'open-token');
  await writeFile(file, 's3cret');
  const text = 'upstreams: { docker.io: { username: a, passwordFile: open-token } }';
  for (const mode of [0o644, 0o604, 0o602, 0o660, 0o601]) {
    await chmod(file, mode);
    const [fault = ''] = await faultsOf(text);
    assert.match(
      fault,
      /^config\/hubgate\.yaml:1:54: the secret file has the mode 06\d\d: .*; type: chmod g-w,o-rwx /,
    );
    assert.ok(fault.endsWith(`chmod g-w,o-rwx '${file}'`), fault);
    assert.ok('value' in (await load(text, {}, false)), 'whoever does not read it is not held up');
  }
  for (const mode of [0o600, 0o400, 0o640, 0o440]) {
    await chmod(file, mode);
    assert.deepEqual(await faultsOf(text), [], mode.toString(8));
  }
});

test('a file that holds a password itself is a secret, and one that does not is not', async () => {
  const file = path.join(directory, 'config/hubgate.yaml');
  for (const [text, count] of [
    ['upstreams: { docker.io: { username: a, password: hunter2 } }', 1],
    ['upstreams: { docker.io: { username: a } }', 0],
  ] as const) {
    await writeFile(file, text);
    await chmod(file, 0o644);
    const environment = { HUBGATE_UPSTREAMS_DOCKER_IO_PASSWORD: 'hunter3' };
    const faults = await faultsOf(text, environment);
    assert.equal(faults.length, count);
    if (count > 0)
      assert.match(faults[0] ?? '', /^config\/hubgate\.yaml: it holds a password, and has the mode 0644/);
  }
  await rm(file);
});

test('what a password hash costs has a floor and a ceiling', async () => {
  for (const [memory, passes, bytes] of [
    ['19MiB', 2, 19_922_944],
    ['64MiB', 3, 67_108_864],
    ['1GiB', 10, 1_073_741_824],
  ] as const) {
    const { passwords } = await configOf(`passwords: { memory: ${memory}, passes: ${passes} }`);
    assert.deepEqual(passwords, { memory: bytes, passes });
  }
  const { passwords } = await configOf('', {
    HUBGATE_PASSWORDS_MEMORY: '32MiB',
    HUBGATE_PASSWORDS_PASSES: '4',
  });
  assert.deepEqual(passwords, { memory: 33_554_432, passes: 4 });
  for (const [memory, passes] of [
    ['18MiB', 1],
    ['1025MiB', 11],
  ] as const) {
    assert.deepEqual(await faultsOf(`passwords:\n  memory: ${memory}\n  passes: ${passes}\n`), [
      `config/hubgate.yaml:2:11: passwords.memory: found "${memory}", expected a size from 19MiB to 1GiB`,
      `config/hubgate.yaml:3:11: passwords.passes: found ${passes}, expected a number of passes from 2 to 10`,
    ]);
  }
});

test('client authorities are the local CA’s where none are said; a file without any is a fault where clients are served', async () => {
  assert.equal((await configOf('')).tls.clientCa, undefined);
  await writeFile(path.join(directory, 'corp.pem'), `a CA\n${makeAuthority('corporate CA').cert}`);
  await writeFile(path.join(directory, 'empty.pem'), 'a CA\n');
  await writeFile(path.join(directory, 'leaf.pem'), makeAuthority('a').issue({ commonName: 'b' }).cert);
  await writeFile(
    path.join(directory, 'torn.pem'),
    '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
  );
  const served = async (clientCa: string) => {
    await writeFile(path.join(directory, 'config', 'hubgate.yaml'), `tls:\n  clientCa: ${clientCa}\n`);
    const loaded = await loadConfig({ directory, environment: {}, readsSecrets: false, servesClients: true });
    return 'faults' in loaded ? loaded.faults.map(formatFault).join() : loaded.value.tls.clientCa;
  };
  assert.equal(await served('corp.pem'), path.join(directory, 'corp.pem'));
  const at = 'config/hubgate.yaml:2:13: the file';
  for (const file of ['empty.pem', 'leaf.pem'])
    assert.equal(await served(file), `${at} holds no certificate of an authority`);
  for (const file of ['missing.pem', 'torn.pem'])
    assert.match(String(await served(file)), /^config\/hubgate.yaml:2:13: the file cannot be read/);
  assert.deepEqual(await faultsOf('tls: { clientCa: missing.pem }'), []);
});
