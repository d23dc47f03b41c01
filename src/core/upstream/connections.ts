import { connectByProxy } from '../../platform/egress/connect-by-proxy.ts';
import { type EgressOptions, proxyFor } from '../../platform/egress/proxy-rules.ts';
import { trusting } from '../../platform/trusted-authorities.ts';
import { Agent, buildConnector } from '../../platform/undici.ts';
import { CONNECTIONS, type CoreLimits } from '../limits.ts';
import { type AddressKind, isAddress, kindOfAddress, lookupOnly, withoutBrackets } from './address.ts';
import { OriginKinds } from './origin-kinds.ts';
import type { UpstreamOptions } from './upstream.ts';

/**
 * The connections to hosts: `kept` connections serve one request after another, and `fresh` ones a single
 * request.
 */
export interface Connections {
  readonly kept: Agent;
  readonly fresh: Agent;
}

/** Further connections per origin, for repeated requests and for probes. */
const MAX_FRESH_CONNECTIONS = 16;

type ConnectionLimits = Pick<CoreLimits, 'connect' | 'idle' | 'bodyIdle'>;

/**
 * All connections to upstreams, by the kinds of addresses that they may lead to and by the trusted
 * authorities.
 */
export class UpstreamConnections implements AsyncDisposable {
  readonly #limits: ConnectionLimits;
  readonly #sets = new Map<string, Connections>();
  readonly #kinds = new OriginKinds();
  readonly #egress: EgressOptions | undefined;

  constructor(limits: ConnectionLimits, egress?: EgressOptions) {
    this.#limits = limits;
    this.#egress = egress;
  }

  /** Returns the connections to a configured upstream and to its token services, at any address. */
  direct({ authorities }: UpstreamOptions): Connections {
    return this.#open('any', authorities);
  }

  /**
   * Returns the connections for a redirect of an upstream, and for a token service that is not its own. With
   * https they lead to public addresses and to addresses of the upstream's own kind, because the operator of
   * a private registry has access to that network already. Without TLS they lead only to the upstream's own
   * kind. A proxy resolves names itself, so a target behind it can be judged here only if it is written as an
   * address.
   */
  towards(target: URL, upstream: UpstreamOptions): Connections | { readonly refused: string } {
    const { url, authorities } = upstream;
    if (target.origin === url.origin) return this.direct(upstream);
    // An upstream that is reached through a proxy is outside of the private network.
    const own = proxyFor(url, this.#egress) === undefined ? this.#kinds.of(url.origin) : 'public';
    const isEncrypted = target.protocol === 'https:';
    const kinds: readonly AddressKind[] = [
      ...new Set([...(isEncrypted ? (['public'] as const) : []), ...(own === 'other' ? [] : [own])]),
    ];
    const literal = withoutBrackets(target.hostname);
    const isRefused = isAddress(literal) && !kinds.includes(kindOfAddress(literal));
    if (isRefused || kinds.length === 0)
      return { refused: `which has no ${kinds.join(' or ') || 'suitable'} address` };
    return this.#open(kinds, authorities);
  }

  /** The number of requests that wait for a connection. */
  get waiting(): number {
    const pools = this.#agents().flatMap(({ stats }) => Object.values(stats));
    return pools.reduce((sum, stats) => sum + ('queued' in stats ? Number(stats.queued) : 0), 0);
  }

  #open(kinds: readonly AddressKind[] | 'any', authorities: readonly string[] | undefined): Connections {
    const key = JSON.stringify([kinds, authorities]);
    const known = this.#sets.get(key);
    if (known !== undefined) return known;
    const { connect: timeout, bodyIdle: bodyTimeout, idle: keepAliveMaxTimeout } = this.#limits;
    const egress = this.#egress;
    const trusted = [...(egress?.authorities ?? []), ...(authorities ?? [])];
    const secure = { timeout, ...(trusted.length > 0 && { secureContext: trusting(trusted) }) };
    const options = { ...secure, ...(kinds !== 'any' && { lookup: lookupOnly(kinds) }) };
    const connector = (protocols: { allowH2?: boolean }) => {
      const direct = this.#kinds.recording(buildConnector({ ...options, ...protocols }));
      return connectByProxy({ egress, direct, ...secure, ...protocols });
    };
    const connections = {
      kept: new Agent({
        connect: connector({}),
        bodyTimeout,
        connections: CONNECTIONS.most,
        keepAliveMaxTimeout,
      }),
      fresh: new Agent({
        connect: connector({ allowH2: false }),
        bodyTimeout,
        connections: MAX_FRESH_CONNECTIONS,
        // With 0, undici reuses no connection. HTTP/2 would put several requests on one.
        pipelining: 0,
        allowH2: false,
      }),
    };
    this.#sets.set(key, connections);
    return connections;
  }

  #agents(): Agent[] {
    return [...this.#sets.values()].flatMap(({ kept, fresh }) => [kept, fresh]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#agents().map((agent) => agent.destroy()));
  }
}
