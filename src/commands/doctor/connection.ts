import type { X509Certificate } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { request } from 'node:https';
import { createConnection, isIP } from 'node:net';
import { connect, type SecureContextOptions, type TLSSocket } from 'node:tls';
import { readBody } from '../../platform/read-body.ts';
import { errorCode, messageOf } from '../../platform/reason.ts';
import { Deadline } from '../../platform/scheduling/deadline.ts';

export interface ServerPeer {
  readonly host: string;
  readonly port: number;
  /** The bytes that the peer expects before the TLS handshake. */
  readonly header?: string;
}

/** The credentials that a connection presents, and the authorities that may sign the peer's certificate. */
export type ClientLogin = Pick<SecureContextOptions, 'cert' | 'key'> & {
  /** The authorities as PEM; if they are absent, every certificate of the peer is accepted. */
  readonly authorities?: readonly string[];
};

export interface HttpsRequest extends ClientLogin {
  readonly method: 'GET' | 'HEAD';
  /** The path and query. */
  readonly target: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface HttpsResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/**
 * The time-outs in milliseconds for a handshake and for a whole answer. The mirror ends a pull from an
 * upstream that hangs before that.
 */
const HANDSHAKE = 3_000;
const ANSWER = 15_000;
const MAX_BODY = 64 * 1024;

/**
 * Returns the certificate that the peer presents. @throws if there is no TLS connection, or none that is
 * trusted
 */
export async function handshake(
  peer: ServerPeer,
  presented: ClientLogin = {},
): Promise<X509Certificate | undefined> {
  using deadline = new Deadline(HANDSHAKE);
  const { promise, resolve, reject } = Promise.withResolvers<X509Certificate | undefined>();
  const below = createConnection(peer);
  below.on('error', reject);
  if (peer.header !== undefined) below.write(peer.header);
  const socket: TLSSocket = connect({ socket: below, ...tlsOptions(peer, presented) }, () =>
    resolve(socket.getPeerX509Certificate()),
  );
  socket.on('error', reject);
  socket.on('close', () => reject(new Error('the connection was closed')));
  try {
    return await deadline.bound(promise);
  } finally {
    socket.destroy();
    below.destroy();
  }
}

/** Sends one request to an HTTPS server. @throws as `handshake` does, and if no answer comes in time */
export async function ask(
  peer: ServerPeer,
  { method, target, headers = {}, ...presented }: HttpsRequest,
): Promise<HttpsResponse> {
  using deadline = new Deadline(ANSWER);
  const { promise, resolve, reject } = Promise.withResolvers<HttpsResponse>();
  const asked = request(
    { ...peer, ...tlsOptions(peer, presented), agent: false, method, path: target, headers },
    (response) => {
      const { statusCode: status = 0, headers: received } = response;
      readBody(response, MAX_BODY).then(
        (body) => resolve({ status, headers: received, body: String(body ?? '') }),
        reject,
      );
    },
  );
  asked.on('error', reject);
  asked.end();
  try {
    return await deadline.bound(promise);
  } finally {
    asked.destroy();
  }
}

function tlsOptions({ host }: ServerPeer, { authorities, cert, key }: ClientLogin) {
  return {
    ...(isIP(host) === 0 && { servername: host }),
    ...(authorities === undefined ? { rejectUnauthorized: false } : { ca: [...authorities] }),
    ...(cert !== undefined && { cert, key }),
  };
}

/** Explains to people what went wrong with a connection. */
export function whyNot(error: unknown): string {
  const isLate = error instanceof Error && error.name === 'DeadlineError';
  return isLate ? 'no answer in time' : (errorCode(error) ?? messageOf(error));
}
