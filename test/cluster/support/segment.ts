/**
 * A network segment on which each node has a network namespace and an address of its own, and each server
 * that the nodes use has an address too. A node can be cut from one of them: what it sends there is lost
 * without a word.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import type { FakeHub } from '../../support/fake-hub.ts';
import { Relay } from './relay.ts';

/** The servers that nodes use, by the last byte of their addresses. Those of the Hub are on one host. */
const SERVERS = { database: 2, objects: 3, registry: 4, token: 4, cdn: 4 } as const;
const FIRST_NODE = 11;
const NODES = 3;
/** Nothing on the segment has this hardware address. */
const NOWHERE = '02:00:00:00:de:ad';

type ServerName = keyof typeof SERVERS;

/** Returns why there can be no such segment here. */
export function whyNoSegment(): string | false {
  if (process.getuid?.() !== 0) return 'only root can make network namespaces';
  return spawnSync('ip', ['netns', 'list']).status === 0 ? false : 'there is no ip (Debian: iproute2)';
}

export class Segment implements AsyncDisposable {
  readonly #bridge: string;
  readonly #network: string;
  readonly #stack = new AsyncDisposableStack();
  readonly #relays = new Map<ServerName, Relay>();
  readonly #ports = new Map<ServerName, () => number>();

  static async make(): Promise<Segment> {
    const segment = new Segment();
    try {
      await segment.#make();
      return segment;
    } catch (error) {
      await segment[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor() {
    // Another run of the tests may have a segment at the same time.
    const { pid } = process;
    this.#bridge = `hgb${pid}`;
    this.#network = `10.${100 + (pid % 100)}.${(pid >> 7) % 250}`;
  }

  async #make(): Promise<void> {
    ip('link', 'add', this.#bridge, 'type', 'bridge');
    this.#stack.defer(() => ip('link', 'delete', this.#bridge));
    ip('link', 'set', this.#bridge, 'up');
    ip('address', 'add', `${this.#network}.1/24`, 'dev', this.#bridge);
    for (const byte of new Set(Object.values(SERVERS)))
      ip('address', 'add', `${this.#network}.${byte}/32`, 'dev', this.#bridge);
    for (const [name, byte] of Object.entries(SERVERS)) {
      const target = () => this.#ports.get(name as ServerName)?.() ?? assert.fail(`nobody serves ${name}`);
      const relay = await Relay.start(target, `${this.#network}.${byte}`);
      this.#stack.use(relay);
      this.#relays.set(name as ServerName, relay);
    }
    for (let index = 0; index < NODES; index++) this.#addNode(index);
  }

  #addNode(index: number): void {
    const namespace = this.#namespace(index);
    const outside = `${this.#bridge}n${index}`;
    ip('netns', 'add', namespace);
    this.#stack.defer(() => ip('netns', 'delete', namespace));
    ip('link', 'add', outside, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace);
    ip('link', 'set', outside, 'master', this.#bridge);
    ip('link', 'set', outside, 'up');
    const inside = (...args: readonly string[]) => ip('-n', namespace, ...args);
    inside('link', 'set', 'lo', 'up');
    inside('address', 'add', `${this.address(index)}/24`, 'dev', 'eth0');
    inside('link', 'set', 'eth0', 'up');
  }

  /** The address of a node. */
  address(index: number): string {
    return `${this.#network}.${FIRST_NODE + index}`;
  }

  /** The command that starts another one as a node. */
  entrance(index: number): readonly string[] {
    return ['ip', 'netns', 'exec', this.#namespace(index)];
  }

  /** The URL at which the nodes reach a server that listens on loopback. */
  url(server: ServerName): URL {
    return new URL(`http://${this.#network}.${SERVERS[server]}:${this.#relays.get(server)?.port}`);
  }

  /** Says on which port of loopback a server listens. */
  serve(server: ServerName, port: () => number): void {
    this.#ports.set(server, port);
  }

  serveHub(hub: FakeHub): void {
    for (const server of ['registry', 'token', 'cdn'] as const)
      this.serve(server, () => Number(hub.listeningAt(server).port));
  }

  /** Cuts a node from a server, or from the other nodes, until it is called. */
  cut(index: number, from: ServerName | 'nodes'): () => void {
    const others = Array.from({ length: NODES }, (_, other) => other).filter((other) => other !== index);
    const addresses =
      from === 'nodes' ? others.map((other) => this.address(other)) : [`${this.#network}.${SERVERS[from]}`];
    const namespace = this.#namespace(index);
    for (const address of addresses)
      ip(
        '-n',
        namespace,
        'neighbour',
        'replace',
        address,
        'lladdr',
        NOWHERE,
        'dev',
        'eth0',
        'nud',
        'permanent',
      );
    return () => {
      for (const address of addresses) ip('-n', namespace, 'neighbour', 'delete', address, 'dev', 'eth0');
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  #namespace(index: number): string {
    return `${this.#bridge}n${index}`;
  }
}

function ip(...args: readonly string[]): void {
  const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' });
  assert.equal(status, 0, `ip ${args.join(' ')}: ${stderr}`);
}
