import { type ClientRequest, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { Socket } from 'node:net';
import type { SecureContext } from 'node:tls';
import { reasonOf } from '../reason.ts';
import { readRegularFile } from '../regular-file.ts';
import type { ProxiedTarget, ProxyLogin, ProxyOptions } from './proxy-rules.ts';

/** Thrown if a proxy does not connect to a host. Its message names the proxy, and never its password. */
export class ProxyError extends Error {
  override readonly name = 'ProxyError';
  /** True if the proxy did not answer in time. */
  readonly isLate: boolean;

  constructor(message: string, { isLate = false, cause }: { isLate?: boolean; cause?: unknown } = {}) {
    super(message, { cause });
    this.isLate = isLate;
  }
}

export interface TunnelOptions {
  readonly proxy: ProxyOptions;
  readonly target: ProxiedTarget;
  /** The time-out in milliseconds until the proxy has connected. */
  readonly timeout: number;
  /** The context of a proxy that is itself reached by TLS. */
  readonly secureContext?: SecureContext;
}

/** Opens a connection to a target by CONNECT (RFC 9110 §9.3.6). @throws ProxyError */
export async function openTunnel({ proxy, target, timeout, secureContext }: TunnelOptions): Promise<Socket> {
  const authority = authorityOf(target);
  const { protocol, hostname, port } = new URL(proxy.url);
  const authorization = await proxyAuthorization(proxy);
  const request = (protocol === 'https:' ? requestHttps : requestHttp)({
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port || (protocol === 'https:' ? 443 : 80),
    method: 'CONNECT',
    path: authority,
    headers: { host: authority, ...(authorization && { 'proxy-authorization': authorization }) },
    agent: false,
    ...(secureContext && { secureContext }),
  });
  return await connected(request, proxy, authority, timeout);
}

function connected(
  request: ClientRequest,
  proxy: ProxyOptions,
  authority: string,
  timeout: number,
): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const late = new ProxyError(`the proxy ${proxy.url} does not answer within ${timeout / 1000} s`, {
    isLate: true,
  });
  const timer = setTimeout(() => request.destroy(late), timeout);
  request.once('connect', ({ statusCode = 0 }, socket, head) => {
    clearTimeout(timer);
    // The socket has no other listener yet.
    if (statusCode >= 200 && statusCode < 300) {
      if (head.length > 0) socket.unshift(head);
      return resolve(socket);
    }
    socket.destroy();
    reject(new ProxyError(whyRefused(proxy, statusCode, `to connect to ${authority}`)));
  });
  request.once('error', (error) => {
    clearTimeout(timer);
    reject(error instanceof ProxyError ? error : unreachableProxy(proxy, error));
  });
  request.end();
  return promise;
}

/**
 * Explains a proxy's status. A target's status has the same numbers, so this is only for answers of a proxy.
 */
export function whyRefused(proxy: ProxyOptions, status: number, what: string): string {
  if (status === 407)
    return `the proxy ${proxy.url} ${proxy.login === undefined ? 'wants a login' : 'refuses the login'} (407); see egress.username and egress.passwordFile`;
  return `the proxy ${proxy.url} refuses ${what} (${status})`;
}

function unreachableProxy(proxy: ProxyOptions, error: NodeJS.ErrnoException): ProxyError {
  return new ProxyError(`the proxy ${proxy.url} cannot be reached: ${error.code ?? error.message}`, {
    cause: error,
  });
}

/**
 * Returns the value of `Proxy-Authorization`. A password file is read each time, because the password may
 * have changed.
 */
export async function proxyAuthorization({ url, login }: ProxyOptions): Promise<string | undefined> {
  if (login === undefined) return undefined;
  const password = 'password' in login ? login.password : await passwordIn(url, login);
  return `Basic ${Buffer.from(`${login.username}:${password}`).toString('base64')}`;
}

async function passwordIn(
  url: string,
  { passwordFile }: ProxyLogin & { readonly passwordFile: string },
): Promise<string> {
  try {
    return (await readRegularFile(passwordFile)).toString('utf8').trimEnd();
  } catch (error) {
    throw new ProxyError(`the password file of the proxy ${url} cannot be read: ${reasonOf(error)}`);
  }
}

function authorityOf({ protocol, hostname, port }: ProxiedTarget): string {
  const host = hostname.includes(':') && !hostname.startsWith('[') ? `[${hostname}]` : hostname;
  return `${host}:${port || (protocol === 'https:' ? 443 : 80)}`;
}
