/** Whole nodes of a cluster, as processes, with a real database and a stand-in Hub. */
import assert from 'node:assert/strict';
import { FakeHub } from '../../support/fake-hub.ts';
import { freePort } from '../../support/free-port.ts';
import type { TestResponse } from '../../support/http.ts';
import { RunningMirror } from '../../support/running-mirror.ts';
import { ACCOUNT } from '../../support/test-core.ts';
import { waitFor } from '../../support/wait-for.ts';
import { type PostgresServer, startPostgres } from './postgres-server.ts';
import type { Segment } from './segment.ts';

const RULES = 'version: 1\nallow:\n  - { id: all, pull: "**", to: authenticated, private: true }\n';

/** Everybody who is logged in may pull everything. */
export const POLICY = `${RULES}...\n`;

/** The same, except for one user. */
export function policyWithout(user: string): string {
  return `${RULES}deny:\n  - { id: no, pull: "acme/**", to: user:${user} }\n...\n`;
}

export const PASSWORD = 'correct horse battery';

interface Parts {
  readonly server: PostgresServer;
  readonly hub: FakeHub;
  readonly nodes: readonly RunningMirror[];
  readonly database: string;
}

export class TestNodes implements AsyncDisposable {
  readonly server: PostgresServer;
  readonly hub: FakeHub;
  readonly nodes: readonly RunningMirror[];
  /** The URL of the database. */
  readonly database: string;

  /**
   * Starts three nodes, each in its own place if there is a segment. The first one makes the policy of all.
   */
  static async start(
    environment: Readonly<Record<string, string>> = {},
    policy: string = POLICY,
    config?: string,
    segment?: Segment,
  ): Promise<TestNodes> {
    const server = await startPostgres();
    const hub = await FakeHub.start(segment && { token: segment.url('token'), cdn: segment.url('cdn') });
    hub.accounts.push({ ...ACCOUNT, repositories: ['acme/secret'] });
    const database = await server.database();
    segment?.serve('database', () => server.port);
    segment?.serveHub(hub);
    const nodes: RunningMirror[] = [];
    for (const [index, id] of ['n1', 'n2', 'n3'].entries())
      nodes.push(
        await RunningMirror.start({
          ...(segment && { host: segment.address(index), entrance: segment.entrance(index) }),
          environment: {
            HUBGATE_CLUSTER_DATABASE:
              segment === undefined
                ? database
                : database.replace(`127.0.0.1:${server.port}`, segment.url('database').host),
            HUBGATE_CLUSTER_NODE: id,
            HUBGATE_CLUSTER_LISTEN: `${segment?.address(index) ?? '127.0.0.1'}:${await freePort()}`,
            HUBGATE_SERVER_URL: 'https://mirror.corp',
            HUBGATE_UPSTREAMS_DOCKER_IO_USERNAME: ACCOUNT.username,
            HUBGATE_UPSTREAMS_DOCKER_IO_PASSWORD: ACCOUNT.password,
            REGISTRY_PROXY_REMOTEURL: segment?.url('registry').origin ?? hub.url.origin,
            ...(segment && { HUBGATE_UPSTREAMS_DOCKER_IO_INSECURE: 'true' }),
            ...environment,
          },
          ...(id === 'n1' && { policy }),
          ...(config !== undefined && { config }),
        }),
      );
    return new TestNodes({ server, hub, nodes, database });
  }

  private constructor({ server, hub, nodes, database }: Parts) {
    this.server = server;
    this.hub = hub;
    this.nodes = nodes;
    this.database = database;
  }

  node(index: number): RunningMirror {
    return this.nodes[index] ?? assert.fail();
  }

  /** Adds a user on one node. */
  async add(user: string, index = 0): Promise<void> {
    const { code, output } = await this.node(index).runWith(
      `${PASSWORD}\n`,
      'user',
      'add',
      user,
      '--password-stdin',
    );
    assert.equal(code, 0, output);
  }

  /** Returns a token of a node, as soon as the node knows the user. */
  async login(index: number, user: string, repository = 'acme/app', password = PASSWORD): Promise<string> {
    let token: string | undefined;
    await waitFor(async () => {
      token = await askToken(this.node(index), `${user}:${password}`, repository);
      return token !== undefined;
    });
    return token ?? assert.fail();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map((node) => node[Symbol.asyncDispose]()));
    await this.hub[Symbol.asyncDispose]();
    await this.server[Symbol.asyncDispose]();
  }
}

async function askToken(on: RunningMirror, login: string, repository: string): Promise<string | undefined> {
  const authorization = `Basic ${Buffer.from(login).toString('base64')}`;
  const target = `/token?service=mirror.corp&scope=repository:${repository}:pull`;
  const { status, body } = await on.ask(target, { headers: { authorization } });
  return status === 200 ? JSON.parse(body.toString()).token : undefined;
}

/** Sends a GET below a repository with a token. */
export function pullFrom(on: RunningMirror, token: string, path: string): Promise<TestResponse> {
  return on.ask(`/v2/${path}`, { headers: { authorization: `Bearer ${token}` } });
}
