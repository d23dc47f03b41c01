import { mustRun } from '../../test/e2e/support/process.ts';
import { ACCEPT } from '../content.ts';
import { reapedCpuSeconds } from '../process-tree.ts';
import type { Target } from './sealed-reader.ts';

export interface NewConnectionsResult {
  readonly requests: number;
  readonly seconds: number;
  /** The number of answers that were too short. */
  readonly errors: number;
  readonly cpuSeconds: number;
}

/**
 * The client verifies nothing here, and reading the trust store would take each of a hundred processes 30 ms
 * of CPU time.
 */
const NO_AUTHORITIES = { SSL_CERT_FILE: '/dev/null', SSL_CERT_DIR: '/dev/null' };

/**
 * Sends one request on each new connection, with a full handshake, as classic dockerd does. wrk would resume
 * sessions; openssl's own s_time does not, and its path can contain a header, because it is written into the
 * request unchanged.
 */
export async function runNewConnections(
  port: number,
  { path, authorization, length }: Target,
  clients: number,
  seconds: number,
): Promise<NewConnectionsResult> {
  const credential = authorization === undefined ? '' : `Authorization: ${authorization}\r\n`;
  const asked = `${path} HTTP/1.1\r\nHost: localhost:${port}\r\n${credential}Accept: ${ACCEPT}\r\nConnection: close\r\nX-End:`;
  const args = ['s_time', '-connect', `127.0.0.1:${port}`, '-new', '-tls1_3', '-www', asked];
  const suite = ['-ciphersuites', 'TLS_AES_128_GCM_SHA256', '-time', String(seconds)];
  const before = reapedCpuSeconds();
  const begun = performance.now();
  const outputs = await Promise.all(
    Array.from({ length: clients }, () => mustRun('openssl', [...args, ...suite], { env: NO_AUTHORITIES })),
  );
  const taken = (performance.now() - begun) / 1000;
  const counts = outputs.map((output) => {
    const [, connections, bytes] = /(\d+) connections in \d+ real seconds, (\d+) bytes/.exec(output) ?? [];
    return { connections: Number(connections), bytes: Number(bytes) };
  });
  return {
    requests: counts.reduce((total, { connections }) => total + connections, 0),
    seconds: taken,
    errors: counts.filter(({ bytes }) => !(bytes >= length)).length,
    cpuSeconds: reapedCpuSeconds() - before,
  };
}
