import { Agent } from '../../platform/undici.ts';
import type { CoreLimits } from '../limits.ts';
import { type AddressKind, kindOfAddress, kindOfHost, lookupOnly } from './address.ts';

/** The ways to hosts: `kept` connections serve request after request, `fresh` ones serve one each. */
export interface Connections {
  readonly kept: Agent;
  readonly fresh: Agent;
}

/** Per origin: enough for a busy morning, and within what an abuse limit per address bears. */
const MAX_CONNECTIONS = 64;
/** More per origin, for requests that are repeated and for probes. */
const MAX_FRESH_CONNECTIONS = 16;

type ConnectionLimits = Pick<CoreLimits, 'connect' | 'idle' | 'bodyIdle'>;

/** All connections to upstreams, by the kind of address that they may lead to. */
export class UpstreamConnections implements AsyncDisposable {
  /** To the configured upstreams and their token services, wherever these are. */
  readonly direct: Connections;
  readonly #limits: ConnectionLimits;
  /** One for each kind of address that redirects of some upstream may lead to. */
  readonly #confined = new Map<AddressKind, Connections>();

  constructor(limits: ConnectionLimits) {
    this.#limits = limits;
    this.direct = this.#open({});
  }

  /** Where a redirect of `upstream` may go. Undefined if the target is written as an address of a kind that is not allowed. */
  async towards(target: URL, upstream: URL): Promise<Connections | undefined> {
    if (target.origin === upstream.origin) return this.direct;
    const kind = upstream.protocol === 'http:' ? await kindOfHost(upstream.hostname) : 'public';
    const literal = target.hostname.replace(/^\[|\]$/g, '');
    if (/^[\d.]+$|:/.test(literal) && kindOfAddress(literal) !== kind) return undefined;
    const connections = this.#confined.get(kind) ?? this.#open({ lookup: lookupOnly(kind) });
    this.#confined.set(kind, connections);
    return connections;
  }

  /** Requests that wait for a connection. */
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
