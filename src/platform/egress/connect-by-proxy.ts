import type { SecureContext } from 'node:tls';
import { buildConnector, type Connector } from '../undici.ts';
import { openTunnel } from './open-tunnel.ts';
import { type EgressOptions, type ProxyOptions, proxyFor } from './proxy-rules.ts';

export interface ByProxyOptions {
  readonly egress: EgressOptions | undefined;
  /** Connects to hosts that need no proxy. */
  readonly direct: Connector;
  /** The time-out in milliseconds for the proxy to connect, and again for TLS to the target. */
  readonly timeout: number;
  readonly secureContext?: SecureContext;
  readonly allowH2?: boolean;
}

/**
 * Connects through the proxy that is configured for the target, if there is one. TLS goes through a tunnel.
 * For `http:` the connection is to the proxy itself, which is then sent the whole URL.
 */
export function connectByProxy(options: ByProxyOptions): Connector {
  const { egress, direct, timeout, secureContext, allowH2 } = options;
  if (egress === undefined) return direct;
  const secure = { timeout, ...(secureContext && { secureContext }) };
  const throughTunnel = buildConnector({ ...secure, ...(allowH2 !== undefined && { allowH2 }) });
  const toProxy = buildConnector({ ...secure, allowH2: false });
  return (target, callback) => {
    const proxy = proxyFor(target, egress);
    if (proxy === undefined) return direct(target, callback);
    if (target.protocol === 'http:') return toProxy(addressOf(proxy), callback);
    openTunnel({ proxy, target, ...secure }).then(
      (httpSocket) => throughTunnel({ ...target, httpSocket }, callback),
      (error: Error) => callback(error, null),
    );
  };
}

function addressOf({ url }: ProxyOptions) {
  const { protocol, hostname, host, port } = new URL(url);
  return { protocol, hostname: hostname.replace(/^\[|\]$/g, ''), host, port };
}
