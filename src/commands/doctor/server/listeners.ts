import { X509Certificate } from 'node:crypto';
import { createConnection } from 'node:net';
import { z } from 'zod';
import { inHome } from '../../../config/home.ts';
import type { ListenAddress } from '../../../config/values.ts';
import { HEADER_WITHOUT_CLIENT } from '../../../gateway/http/proxy-header.ts';
import { RAISE_OPEN_FILES } from '../../../launch/open-files.ts';
import { openUrlClient } from '../../../platform/ipc/http-client.ts';
import { isLoopback, parseNetwork } from '../../../platform/network.ts';
import { readRegularFile } from '../../../platform/regular-file.ts';
import { Deadline } from '../../../platform/scheduling/deadline.ts';
import { type Finding, type Looked, wrong } from '../checks.ts';
import { handshake, type ServerPeer, whyNot } from '../connection.ts';
import { pair } from './certificate.ts';
import type { ExaminedServer } from './server.ts';

/** The time-outs in milliseconds. */
const CONNECT = 2_000;
const READY = 5_000;

/** Checks whether the mirror answers where it should, and only there. */
export async function listeners(server: ExaminedServer): Promise<Looked> {
  const own = await pair(server);
  if ('findings' in own && own.findings.some(({ level }) => level === 'wrong'))
    return { skipped: 'with which certificate it would answer is not known' };
  const findings = await publicListener(server);
  // If the gateway lacks its public port, it also lacks the admin port.
  return { findings: findings.length > 0 ? findings : await adminListener(server) };
}

async function publicListener({ paths, config, auth }: ExaminedServer): Promise<Finding[]> {
  const { listen, proxyProtocol } = config.server;
  const where = `server.listen (port ${listen.port})`;
  const peer = peerOf(listen);
  if (!(await isOpen(peer))) {
    // If the mirror does not run at all, another check reports that.
    if (auth === undefined) return [];
    const mend =
      'no gateway runs, or with another configuration than this; the log of hubgate start says why';
    return [wrong(where, 'has nobody who listens, while the mirror runs', mend)];
  }
  const isListed = parseNetwork(proxyProtocol)?.contains(peer.host) ?? false;
  const header = isListed ? { header: HEADER_WITHOUT_CLIENT } : {};
  const answered = await handshake({ ...peer, ...header }).catch((error: unknown) => whyNot(error));
  const mend = `find out who has the port (ss -tlnp 'sport = :${listen.port}'), and end it or choose another port`;
  if (typeof answered === 'string' || answered === undefined)
    return [wrong(where, `is taken by another program: it takes no TLS connection (${answered})`, mend)];
  const file = await readRegularFile(config.tls.certificate).catch(() => undefined);
  const ours = file && new X509Certificate(file);
  if (auth !== undefined && ours?.fingerprint256 === answered.fingerprint256) return [];
  const what = `is taken by another program, or by an older certificate: what answers there shows ${answered.subject.replaceAll('\n', ', ')} until ${answered.validToDate.toISOString()}, and not ${inHome(config.tls.certificate, paths)}`;
  return [wrong(where, auth === undefined ? 'is taken by another program' : what, mend)];
}

async function adminListener({ config, auth }: ExaminedServer): Promise<Finding[]> {
  const { admin } = config.server;
  const where = `server.admin (port ${admin.port})`;
  const { host } = admin;
  if (host === undefined || !isLoopback(host.includes(':') ? `[${host}]` : host)) {
    const mend =
      'bind it to 127.0.0.1, or let only Prometheus reach it: it is plain HTTP, and asks for no login';
    return [wrong(where, `listens on ${host ?? 'every address'}, where others can reach it`, mend)];
  }
  if (auth === undefined || admin.port === 0) return [];
  const peer = peerOf(admin);
  if (await isOpen(peer)) return openFiles(peer, config.server.listen.port);
  const mend = 'no gateway runs, or with another configuration than this; the log of hubgate start says why';
  return [wrong(where, 'has nobody who listens, while the mirror runs', mend)];
}

/** The part of a gateway's answer to /readyz that is read here. */
const READINESS = z.object({ listener: z.object({ connections: z.object({ most: z.int() }) }) });

/**
 * The connections that a gateway should be able to have. Every docker that pulls keeps some open for two
 * minutes.
 */
const ENOUGH_CONNECTIONS = 1_000;

/** Checks whether the limit of open files leaves enough connections. Only a gateway knows its own limit. */
async function openFiles({ host, port }: ServerPeer, listenPort: number): Promise<Finding[]> {
  const authority = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  await using client = openUrlClient(new URL(`http://${authority}`));
  const most = await client
    .request({ method: 'GET', path: '/readyz', deadline: READY })
    .then(async ({ body }) => READINESS.parse(await body.json()).listener.connections.most)
    .catch(() => undefined);
  if (most === undefined || most >= ENOUGH_CONNECTIONS) return [];
  const what = `takes no more than ${most} connections in each gateway, because a process may have so few files open`;
  return [wrong(`server.listen (port ${listenPort})`, what, `${RAISE_OPEN_FILES}, and start it again`)];
}

/** Returns the address at which this machine itself can reach the listener. */
export function peerOf({ host, port }: ListenAddress): ServerPeer {
  const own = host === undefined || host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return { host: own, port };
}

async function isOpen(peer: ServerPeer): Promise<boolean> {
  using deadline = new Deadline(CONNECT);
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = createConnection(peer, () => resolve(true));
  socket.on('error', () => resolve(false));
  return deadline
    .bound(promise)
    .catch(() => false)
    .finally(() => socket.destroy());
}
