/**
 * A separate network for a file of tests, in which names lead to public and private addresses of this
 * machine. Hosts there serve HTTPS on port 443. Those at public addresses have certificates of an authority
 * that Node trusts; the others do not.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createSecureContext } from 'node:tls';
import { run } from '../e2e/support/process.ts';
import { makeAuthority } from './certificates.ts';

const PUBLIC_ADDRESS = '93.184.216.34';
const PRIVATE_ADDRESS = '10.9.8.7';

/** Names below it have a private address; all other names of a test have a public one. */
const COMPANY = '.corp.example';

const SETUP = `
ip link set lo up
ip address add ${PUBLIC_ADDRESS}/32 dev lo
ip address add ${PRIVATE_ADDRESS}/32 dev lo
mount --bind "$0/hosts" /etc/hosts
exec "$@"`;

const INSIDE = 'HUBGATE_TEST_NETWORK';

/** Answers requests of one host. */
export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** Returns why there can be no such network here. In CI nothing is skipped. */
export async function whyNoNetwork(): Promise<string | false> {
  if (process.env.CI !== undefined) return false;
  const enter = ['--net', '--mount', 'ip', 'link', 'set', 'lo', 'up'];
  const { code } = await run('unshare', enter).catch(() => ({ code: -1 }));
  return code !== 0 && 'only root can make the network that this test needs';
}

/** True if this process is in such a network. */
export function isInNetwork(): boolean {
  return process.env[INSIDE] !== undefined;
}

/** Runs a file of tests in a separate network, in which `hosts` can be found. */
export async function testInNetwork(file: string, hosts: readonly string[]): Promise<void> {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-network-'));
  try {
    const lines = hosts.map((host) => `${addressOf(host)} ${host}\n`);
    await writeFile(path.join(directory, 'hosts'), ['127.0.0.1 localhost\n', ...lines].join(''));
    for (const name of ['public', 'company']) {
      const { cert, key } = makeAuthority(name);
      await writeFile(path.join(directory, `${name}.crt`), cert);
      await writeFile(path.join(directory, `${name}.key`), key);
    }
    const enter = ['unshare', '--net', '--mount', '--propagation', 'private', 'sh', '-ec', SETUP, directory];
    const variables = [`${INSIDE}=${directory}`, `NODE_EXTRA_CA_CERTS=${path.join(directory, 'public.crt')}`];
    // Without this variable, the file runs its tests as a separate process and prints what failed.
    const command = ['-u', 'NODE_TEST_CONTEXT', ...variables, ...enter, process.execPath, file];
    const { code, output } = await run('env', command);
    assert.equal(code, 0, output);
  } finally {
    await rm(directory, { recursive: true });
  }
}

function addressOf(host: string): string {
  return host.endsWith(COMPANY) ? PRIVATE_ADDRESS : PUBLIC_ADDRESS;
}

/** Returns the file of the authority that certifies the hosts at private addresses. */
export function companyAuthority(): string {
  return path.join(process.env[INSIDE] ?? '', 'company.crt');
}

/**
 * Serves these hosts, by URL: `https://hub.example` on port 443, `http://minio.corp.example:9000` without
 * TLS.
 */
export async function serveHosts(hosts: Readonly<Record<string, Handler>>): Promise<AsyncDisposable> {
  const handlers = new Map(Object.entries(hosts).map(([url, handler]) => [new URL(url).host, handler]));
  const listener: Handler = (request, response) => {
    const handler = handlers.get(request.headers.host ?? '');
    if (handler === undefined) response.writeHead(421).end();
    else handler(request, response);
  };
  const urls = Object.keys(hosts).map((url) => new URL(url));
  const plain = new Set(urls.filter(({ protocol }) => protocol === 'http:').map(({ port }) => Number(port)));
  const issue = await issuing();
  const secure = createHttpsServer({
    SNICallback: (host, done) => done(null, createSecureContext(issue(host))),
  });
  const servers = [
    secure.on('request', listener).listen(443),
    ...[...plain].map((port) => createHttpServer(listener).listen(port)),
  ];
  await Promise.all(servers.map((server) => once(server, 'listening')));
  return {
    async [Symbol.asyncDispose]() {
      for (const server of servers) {
        const closed = once(server, 'close');
        server.close();
        server.closeAllConnections();
        await closed;
      }
    },
  };
}

async function issuing() {
  const authority = async (name: string) => {
    const read = (type: string) => readFile(path.join(process.env[INSIDE] ?? '', `${name}.${type}`), 'utf8');
    return makeAuthority(name, { key: await read('key') });
  };
  const company = await authority('company');
  const others = await authority('public');
  return (host: string) => {
    const altNames = [{ type: 2, value: host }];
    const issuer = host.endsWith(COMPANY) ? company : others;
    return issuer.issue({ commonName: host, altNames, usage: { serverAuth: true } });
  };
}
