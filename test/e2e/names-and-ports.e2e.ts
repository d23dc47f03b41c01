/**
 * Real clients pull by IPv6, by several names, on the ports 443 and 5000. In a network of its own, where the
 * mirror has a name and an address of IPv6 that are not those of loopback, because dockerd verifies no
 * certificate there.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { connect } from 'node:tls';
import { ask } from '../support/http.ts';
import { basic, PASSWORD } from '../support/test-hubgate.ts';
import { installClients, startContainerd, startDocker } from './support/clients.ts';
import { type RunningHubgate, startHubgate, WORKERS } from './support/hubgate.ts';
import { writeLayout } from './support/oci-layout.ts';
import { run } from './support/process.ts';
import { startUpstream } from './support/upstream.ts';

const INSIDE = 'NAMES_AND_PORTS_NETWORK';
const ADDRESS = 'fd00:99::10';
const NAMES = ['mirror.corp.example', 'docker.corp.example'] as const;
const PORTS = [443, 5000] as const;
const SETUP = `
ip link set lo up
ip address add ${ADDRESS}/128 dev lo nodad
mount --bind "$0" /etc/hosts
exec "$@"`;

/** Runs this file again in a network of its own. */
async function enterNetwork(): Promise<void> {
  await installClients();
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-names-'));
  try {
    const hosts = path.join(directory, 'hosts');
    await writeFile(
      hosts,
      ['127.0.0.1 localhost', '::1 localhost', `${ADDRESS} ${NAMES.join(' ')}`, ''].join('\n'),
    );
    const enter = ['unshare', '--net', '--mount', '--propagation', 'private', 'sh', '-ec', SETUP, hosts];
    const inside = ['-u', 'NODE_TEST_CONTEXT', `${INSIDE}=${directory}`, ...enter, process.execPath];
    const { code, output } = await run('env', [...inside, import.meta.filename]);
    assert.equal(code, 0, output);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

if (process.env[INSIDE] === undefined)
  test('clients pull by IPv6, by several names, on the ports 443 and 5000', enterNetwork);
else testInside(process.env[INSIDE]);

function testInside(directory: string): void {
  const at = (name: string) => path.join(directory, name);
  const stack = new AsyncDisposableStack();
  const mirrors = new Map<number, RunningHubgate>();
  const homeOf = (port: number) => at(`home-${port}`);
  const caOf = (port: number) => path.join(homeOf(port), 'certs/ca.crt');
  const suffix = (port: number) => (port === 443 ? '' : `:${port}`);
  const hostsOf = (port: number) => NAMES.map((name) => `${name}${suffix(port)}`);

  before(async () => {
    const upstream = stack.use(await startUpstream(at('upstream')));
    await writeLayout(at('alpine'), 'v1', 'the first one\n');
    await upstream.push(at('alpine'), 'v1', 'library/alpine:latest');
    for (const port of PORTS) {
      await mkdir(path.join(homeOf(port), 'config'), { recursive: true });
      const config = () => `
server:
  url: "https://${NAMES[0]}${suffix(port)}"
  names: [${NAMES[1]}, "${ADDRESS}"]
  listen: "[::]:${port}"
  admin: "127.0.0.1:0"
  workers: ${WORKERS}
upstreams: { docker.io: { url: ${upstream.url.origin} } }
`;
      const hubgate = stack.use(await startHubgate(homeOf(port), config, { address: { host: '::1', port } }));
      await hubgate.addUser('ana', PASSWORD);
      mirrors.set(port, hubgate);
    }
  });

  after(() => stack.disposeAsync());

  for (const port of PORTS) {
    test(`the certificate on port ${port} is for each name, and the challenge names server.url`, async () => {
      const ca = await readFile(caOf(port));
      const url = `https://${NAMES[0]}${suffix(port)}`;
      for (const host of [...NAMES, ADDRESS]) {
        const { status, headers } = await ask({ tls: true, ca, host, port, path: '/v2/', agent: false });
        assert.equal(status, 401, host);
        const expected = `Bearer realm="${url}/token",service="${NAMES[0]}${suffix(port)}"`;
        assert.equal(headers['www-authenticate'], expected);
      }
      const socket = connect({ host: ADDRESS, port, ca });
      await once(socket, 'secureConnect');
      const certificate = new X509Certificate(socket.getPeerCertificate().raw);
      socket.destroy();
      for (const name of NAMES) assert.equal(certificate.checkHost(name), name);
      assert.equal(certificate.checkIP(ADDRESS), ADDRESS);
    });

    test(`skopeo logs in and pulls by each name on port ${port}`, async () => {
      for (const name of NAMES) {
        const host = `${name}${suffix(port)}`;
        const file = at(`auth-${host}.json`);
        const login = ['login', '--authfile', file, '--username', 'ana', '--password-stdin', host];
        const env = { SSL_CERT_FILE: caOf(port) };
        assert.equal((await run('skopeo', login, { stdin: PASSWORD, env })).code, 0, host);
        const copy = ['--insecure-policy', 'copy', '--authfile', file, `docker://${host}/library/alpine`];
        const copied = await run('skopeo', [...copy, `dir:${at(`copied-${host}`)}`], { env });
        assert.equal(copied.code, 0, `${host}: ${copied.output}`);
      }
    });

    test(`dockerd logs in and pulls by each name on port ${port}`, async () => {
      const env = { SSL_CERT_FILE: caOf(port) };
      await using docker = await startDocker(at(`docker-${port}`), undefined, { env });
      for (const name of NAMES) {
        const host = `${name}${suffix(port)}`;
        const login = await docker(['login', '--username', 'ana', '--password-stdin', host], {
          stdin: PASSWORD,
        });
        assert.equal(login.code, 0, `${host}: ${login.output}`);
        const pulled = await docker(['pull', `${host}/library/alpine`]);
        assert.equal(pulled.code, 0, `${host}: ${pulled.output}`);
      }
      // Debian's docker knows no address of IPv6 in the name of an image, but logs in to one.
      const host = `[${ADDRESS}]:${port}`;
      const login = await docker(['login', '--username', 'ana', '--password-stdin', host], {
        stdin: PASSWORD,
      });
      assert.equal(login.code, 0, `${host}: ${login.output}`);
    });

    test(`containerd pulls by IPv6 and by each name on port ${port}`, async () => {
      await using containerd = await startContainerd(at(`containerd-${port}`));
      for (const name of NAMES) {
        // Debian's containerd refuses an address of IPv6 in a hosts.toml, so the name leads to one.
        const hosts = at(`hosts-${name}-${port}`);
        await mkdir(path.join(hosts, 'docker.io'), { recursive: true });
        const host = `https://${name}${suffix(port)}`;
        const text = `[host."${host}"]\n  capabilities = ["pull", "resolve"]\n  ca = "${caOf(port)}"\n`;
        await writeFile(path.join(hosts, 'docker.io/hosts.toml'), text);
        const flags = ['--snapshotter', 'native', '--hosts-dir', hosts, '--user', `ana:${PASSWORD}`];
        const pulled = await containerd.ctr(['images', 'pull', ...flags, 'docker.io/library/alpine:latest']);
        assert.equal(pulled.code, 0, pulled.output);
      }
    });

    test(`the files for clients name the mirror on port ${port}`, async () => {
      const hubgate = mirrors.get(port) ?? assert.fail();
      for (const client of ['docker', 'dockerd', 'containerd', 'podman'] as const) {
        const out = at(`kit-${client}-${port}`);
        const printed = await hubgate.run(
          'client-config',
          client,
          '--for',
          client === 'docker' ? 'ana' : `node-${client}`,
          '--out',
          out,
        );
        const { output: written } = await run('grep', ['-rhE', 'corp\\.example', out]);
        // A colon in the name of a file has a backslash before it where curl reads it.
        const text = `${printed}${written}`.replaceAll('\\:', ':');
        const named = [...text.matchAll(/mirror\.corp\.example(?::\d+)?/g)].map(([name]) => name);
        assert.ok(named.length > 0, client);
        const wrong = named.filter((name) => name !== `${NAMES[0]}${suffix(port)}`);
        assert.deepEqual(wrong, [], `${client}: ${printed}${written}`);
      }
    });
  }

  test('a mirror that docker is given by its address of IPv6 serves unprefixed names', async () => {
    await mirrors.get(5000)?.setPolicy('allow: [{ pull: library/**, to: [authenticated, anonymous] }]');
    const env = { SSL_CERT_FILE: caOf(5000) };
    await using docker = await startDocker(at('docker-mirror'), `https://[${ADDRESS}]:5000`, { env });
    const pulled = await docker(['pull', 'alpine']);
    assert.equal(pulled.code, 0, pulled.output);
  });

  test('a client that names the mirror as the registry means Docker Hub', async () => {
    for (const port of PORTS)
      for (const host of hostsOf(port)) {
        const { status } = await ask({
          ...{ tls: true, rejectUnauthorized: false, host: ADDRESS, port, agent: false },
          path: `/v2/library/alpine/manifests/latest?ns=${host}`,
          headers: { authorization: basic('ana', PASSWORD) },
        });
        assert.equal(status, 200, host);
      }
  });
}
