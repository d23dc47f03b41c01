import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type RunningHubgate, startHubgate, WORKERS } from '../../e2e/support/hubgate.ts';
import { waitFor } from '../../support/wait-for.ts';
import { installKit, type Machine, makeMachine, type PrintedKit } from './machine.ts';
import { ADDRESSES, MIRROR } from './network.ts';
import { type Entrance, type StandInHub, startHub } from './stand-in-hub.ts';

export const PASSWORD = 's3cret-of-ana';
export const HUB_PASSWORD = 'hub-p4ssword';
/** A person's own account at the Hub, which may push there. */
export const HUB_USER = 'hubuser';

export const REASON = 'ended is at its end; see go/base-images';

/** How long the mirror answers for a tag without asking the Hub. */
const FRESHNESS_MS = 1000;

/** The policy says what everybody may pull, what only ana may, and what nobody may, with a reason. */
const policyWith = (allow: string) => `version: 1
allow:
${allow}  - { pull: ["library/**", "hubuser/**", "ghcr.io/acme/**"], to: authenticated }
  - { pull: acme/secret, to: ana, private: true }
deny:
  - { pull: library/ended, to: authenticated, because: "${REASON}" }
...
`;

/** A line of the audit log about a pull, or about a list of tags or referrers. */
export interface AuditedPull {
  readonly action: 'pull' | 'tags' | 'referrers';
  readonly subject: string;
  readonly repository: string;
  readonly decision: string;
  readonly status: number;
}

/** The mirror as it runs in production, between the Hub and machines with clients. */
export interface World extends AsyncDisposable {
  readonly hub: StandInHub;
  readonly hubgate: RunningHubgate;
  readonly directory: string;
  machine(name: string): Promise<Machine>;
  /** Writes the kit of a client. */
  writtenKit(client: string, name: string, ...flags: string[]): Promise<PrintedKit>;
  /** Writes the kit of a client, and puts its files in place on the machine. */
  kit(machine: Machine, client: string, name: string, ...flags: string[]): Promise<PrintedKit>;
  /**
   * Returns the pulls that have begun since the machine was made, or since the last assertion about pulls.
   */
  pulls(): Promise<AuditedPull[]>;
  /** Ignores the pulls so far. */
  forgetPulls(): void;
  /** Takes the Hub away from everybody, including the mirror, until the end of the block. */
  hubDown(): Disposable;
  /** Takes the Hub away from everybody except the mirror, as an administrator does. */
  hubBlocked(): Disposable;
  /** Resolves when the cached tags are no longer fresh, so that the mirror must ask the Hub again. */
  pastFreshness(): Promise<void>;
  /** Asserts that only the mirror has asked the Hub, and that the mirror knew who asked. */
  assertMirrorOnly(subject: string): Promise<void>;
}

/** What is configured beside the mirror. */
export interface WorldOptions {
  /** More lines of `hubgate.yaml`. */
  readonly configuration?: string;
  /** More rules of the policy that allow something. */
  readonly allow?: string;
}

export async function startWorld(options: WorldOptions = {}): Promise<World> {
  await using starting = new AsyncDisposableStack();
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-clients-'));
  starting.defer(() => rm(directory, { recursive: true, force: true }));
  const hub = starting.use(await startHub());
  hub.docker.remaining = hub.github.remaining = 1_000_000;
  hub.docker.accounts.push(
    { username: 'acme-mirror', password: HUB_PASSWORD, repositories: ['acme/secret'] },
    { username: HUB_USER, password: HUB_PASSWORD, repositories: [], mayPush: true },
  );
  const machineAt = (name: string, address: string) =>
    makeMachine({ root: path.join(directory, name), hub: address, authority: hub.authority });
  const own = starting.use(await machineAt('mirror', ADDRESSES.upstream));
  const hubgate = starting.use(await startMirror(directory, own, options));
  await hubgate.addUser('ana', PASSWORD);
  const stack = starting.move();
  let since = 0;
  const world: World = {
    ...{ hub, hubgate, directory },
    async machine(name) {
      const machine = await machineAt(name, ADDRESSES.direct);
      hub.direct.takeRequests();
      world.forgetPulls();
      return machine;
    },
    async writtenKit(client, name, ...flags) {
      const out = path.join(directory, `${client}-${name}-files`);
      const asked = ['client-config', client, '--for', name, '--out', out, '--json', ...flags];
      return JSON.parse(await hubgate.run(...asked));
    },
    async kit(machine, client, name, ...flags) {
      const kit = await world.writtenKit(client, name, ...flags);
      await installKit(machine, kit);
      return kit;
    },
    async pulls() {
      const text = await readFile(path.join(hubgate.home, 'state/audit.log'), 'utf8').catch(() => '');
      const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
      return lines
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line))
        .filter(({ action, time, milliseconds, subject, status }) => {
          // Clients with a login ask without it first.
          const isFirst = subject === 'anonymous' && status === 401;
          return action !== 'token' && !isFirst && Date.parse(time) - milliseconds > since;
        });
    },
    forgetPulls() {
      since = Date.now();
    },
    hubDown: () => cutOff(hub.forMirror, hub.direct),
    hubBlocked: () => cutOff(hub.direct),
    pastFreshness: () => delay(FRESHNESS_MS + 100),
    async assertMirrorOnly(subject) {
      await waitFor(async () => (await world.pulls()).length > 0);
      for (const pull of await world.pulls())
        assert.deepEqual([pull.subject, pull.decision], [subject, 'allow'], JSON.stringify(pull));
      world.forgetPulls();
      assert.deepEqual(hub.direct.takeRequests(), []);
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
  return world;
}

function cutOff(...entrances: readonly Entrance[]): Disposable {
  for (const entrance of entrances) entrance.cutOff();
  return {
    [Symbol.dispose]() {
      for (const entrance of entrances) entrance.restore();
    },
  };
}

async function startMirror(
  directory: string,
  machine: Machine,
  { configuration: more = '', allow = '' }: WorldOptions,
): Promise<RunningHubgate> {
  const home = path.join(directory, 'home');
  const password = path.join(directory, 'hub-password');
  await mkdir(path.join(home, 'config'), { recursive: true });
  await writeFile(path.join(home, 'config/access.yaml'), policyWith(allow));
  await writeFile(password, `${HUB_PASSWORD}\n`, { mode: 0o600 });
  const configuration = (port: number) => `
server: { url: "https://${MIRROR}", listen: "${ADDRESSES.mirror}:${port}", admin: "127.0.0.1:0", workers: ${WORKERS} }
upstreams:
  docker.io: { username: acme-mirror, passwordFile: ${password} }
  ghcr.io: {}
cache: { tagFreshness: ${FRESHNESS_MS / 1000}s }
log: { format: json }
${more}`;
  const authorities = path.join(machine.root, 'etc/ssl/certs/ca-certificates.crt');
  return startHubgate(home, configuration, {
    address: { host: ADDRESSES.mirror, port: 443 },
    entrance: machine.entrance,
    env: { ...machine.env, NODE_EXTRA_CA_CERTS: authorities },
  });
}
