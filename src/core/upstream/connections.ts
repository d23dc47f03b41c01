import { Agent } from '../../platform/undici.ts';
import type { CoreLimits } from '../limits.ts';
import { type AddressKind, kindOfAddress, kindOfHost, lookupOnly } from './address.ts';

/**
 * The connections to hosts: `kept` connections serve one request after another, `fresh` ones serve a single
 * request.
 */
export interface Connections {
  readonly kept: Agent;
  readonly fresh: Agent;
}

/**
 * The most connections per origin. They suffice for a busy morning, and stay below abuse limits per address.
 */
const MAX_CONNECTIONS = 64;
/** Further connections per origin, for repeated requests and for probes. */
const MAX_FRESH_CONNECTIONS = 16;

type ConnectionLimits = Pick<CoreLimits, 'connect' | 'idle' | 'bodyIdle'>;

/** All connections to upstreams, by the kind of address that they may lead to. */
export class UpstreamConnections implements AsyncDisposable {
  /** Connections to the configured upstreams and their token services, at any address. */
  readonly direct: Connections;
  readonly #limits: ConnectionLimits;
  /** One set of connections for each kind of address to which redirects of some upstream may lead. */
  readonly #confined = new Map<AddressKind, Connections>();

  constructor(limits: ConnectionLimits) {
    this.#limits = limits;
    this.direct = this.#open({});
  }

  /**
   * Returns the connections for a redirect of `upstream`; undefined if the target is an address of a kind
   * that is not allowed.
   */
  async towards(target: URL, upstream: URL): Promise<Connections | undefined> {
    if (target.origin === upstream.origin) return this.direct;
    const kind = upstream.protocol === 'http:' ? await kindOfHost(upstream.hostname) : 'public';
    const literal = target.hostname.replace(/^\[|\]$/g, '');
    if (/^[\d.]+$|:/.test(literal) && kindOfAddress(literal) !== kind) return undefined;
    const connections = this.#confined.get(kind) ?? this.#open({ lookup: lookupOnly(kind) });
    this.#confined.set(kind, connections);
    return connections;
  }

  /** The most requests that wait for a connection. */
  get waiting(): number {
    const pools = this.#agents().flatMap(({ stats }) => Object.values(stats));
    return pools.reduce((sum, stats) => sum + ('queued' in stats ? Number(stats.queued) : 0), 0);
  }

  #open(connect: { lookup?: ReturnType<typeof lookupOnly> }): Connections {
    const options = {
      connect: { ...connect, timeout: this.#limits.connect },
      bodyTimeout: this.#limits.bodyIdle,
    };
    return {
      kept: new Agent({ ...options, connections: MAX_CONNECTIONS, keepAliveMaxTimeout: this.#limits.idle }),
      // Without pipelining undici keeps no connection. HTTP/2 would put several requests on one.
      fresh: new Agent({ ...options, connections: MAX_FRESH_CONNECTIONS, pipelining: 0, allowH2: false }),
    };
  }

  #agents(): Agent[] {
    return [this.direct, ...this.#confined.values()].flatMap(({ kept, fresh }) => [kept, fresh]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#agents().map((agent) => agent.destroy()));
  }
}
