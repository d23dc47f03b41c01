import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { CoreClient } from '../../../src/gateway/clients/core-client.ts';
import { openLocalCoreClient } from '../../../src/gateway/clients/local-core-client.ts';
import type { Digest } from '../../../src/registry/digest.ts';
import type { FakeHub } from '../../support/fake-hub.ts';
import type { Behaviour } from '../../support/fault.ts';
import { ACCOUNT } from '../../support/test-core.ts';
import { type Catalogue, startHub } from './catalogue.ts';
import { type CoreLaunch, CoreProcess } from './core-process.ts';
import { fetchedAgain } from './fetched-again.ts';
import { inspect } from './inspect.ts';
import { Ledger } from './ledger.ts';
import { Load } from './load.ts';
import { anyMoment } from './moment.ts';
import { pullEverything } from './pull-everything.ts';
import type { Random } from './random.ts';
import type { Tally } from './tally.ts';

/** In milliseconds. */
const LONGEST_RUN = 400;
const LONGEST_START = 80;
/** The number of kills. What is left to fetch by then takes longer than a core lives. */
const LONGEST_LIFE = 40;
const CLIENTS = 6;
const MIB = 1024 * 1024;

export interface LifeOptions {
  readonly catalogue: Catalogue;
  readonly launch: CoreLaunch;
  readonly random: Random;
  readonly tally: Tally;
  /** Returns true if the life may end. */
  readonly over: () => boolean;
}

/** The life of one cache with its own Hub: from empty to full, while its core is killed again and again. */
export class Life implements AsyncDisposable {
  readonly #options: LifeOptions;
  readonly #directory: string;
  readonly #hub: FakeHub;
  readonly #ledger = new Ledger();
  #ending: Promise<unknown>[] = [];

  static async begin(options: LifeOptions): Promise<Life> {
    const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-kill-'));
    return new Life(options, directory, await startHub(options.catalogue));
  }

  private constructor(options: LifeOptions, directory: string, hub: FakeHub) {
    this.#options = options;
    this.#directory = directory;
    this.#hub = hub;
  }

  async run(): Promise<void> {
    const { catalogue, tally, over } = this.#options;
    const isFull = () => this.#ledger.promised.size === catalogue.contents.size;
    for (let kills = 0; kills < LONGEST_LIFE && !over() && !isFull(); kills++) await this.#runOnce();
    if (tally.faults.length === 0) await this.#fill();
    if (tally.faults.length === 0) await this.#serveAlone();
    await Promise.all(this.#ending);
    tally.count('caches filled');
  }

  async #runOnce(): Promise<void> {
    const { random, tally } = this.#options;
    const promisedBefore = new Set(this.#ledger.promised);
    const killed = Promise.withResolvers<void>();
    this.#plantTrouble(killed.promise);
    if (random.chance(0.15)) await this.#killWhileItStarts();
    else await this.#whileItRuns((core) => this.#loadUntilKilled(core));
    killed.resolve();
    tally.count('kills');
    await this.#inspect(promisedBefore);
  }

  async #killWhileItStarts(): Promise<void> {
    await using core = await CoreProcess.load(this.#options.launch);
    const started = core.start(this.#settings).catch(() => {});
    await delay(this.#options.random.below(LONGEST_START));
    await core.kill();
    await started;
    this.#options.tally.count('kills while it started');
  }

  async #whileItRuns(task: (core: CoreClient) => Promise<void>): Promise<void> {
    await using core = await CoreProcess.load(this.#options.launch);
    await core.start(this.#settings);
    const { socket, directory } = this.#settings;
    const client = openLocalCoreClient({ socket, directory });
    try {
      await task(client);
    } finally {
      await core.kill();
      await client[Symbol.asyncDispose]();
    }
  }

  async #loadUntilKilled(core: CoreClient): Promise<void> {
    const { random } = this.#options;
    const options = { ...this.#options, core, ledger: this.#ledger, random: random.fork() };
    const load = new Load(options, CLIENTS);
    // The clients may be waiting to ask once more; the next core does not wait for them.
    this.#ending.push(load.ended);
    await anyMoment(random, this.#ledger, { longest: LONGEST_RUN, event: 'filled', often: 0.3 });
    load.stop();
  }

  #plantTrouble(killed: Promise<void>): void {
    const { random, catalogue } = this.#options;
    this.#hub.heal();
    for (const [digest, { length }] of catalogue.listings.flatMap(({ image }) => [...image.blobs])) {
      if (this.#ledger.promised.has(digest) || random.chance(0.8)) continue;
      const at = random.below(length);
      const behaviours: Behaviour[] = [
        { kind: 'drop', at },
        { kind: 'corrupt', at },
        { kind: 'pause', at, gate: killed },
        { kind: 'unsized' },
      ];
      const behaviour = random.pick(behaviours);
      if (behaviour.kind === 'drop' || behaviour.kind === 'corrupt') this.#ledger.troubled.add(digest);
      this.#hub.plant('cdn', new RegExp(digest), behaviour, 1);
    }
  }

  /**
   * Checks, while nothing runs, that everything that was published exists, is right, and was not fetched
   * again.
   */
  async #inspect(promisedBefore: ReadonlySet<Digest>): Promise<void> {
    const { catalogue, tally } = this.#options;
    const { right, corrupt, bytes } = await inspect(this.#settings.directory, catalogue.contents);
    tally.count('MiB checked on disk', bytes / MIB);
    for (const file of corrupt) tally.fault(`${file} is published and wrong`);
    for (const digest of this.#ledger.promised) {
      if (!right.has(digest)) tally.fault(`${digest} was published and is lost`);
    }
    const log = this.#hub.log.splice(0);
    for (const digest of fetchedAgain(log, promisedBefore))
      tally.fault(`${digest} was published and is fetched once more`);
    const resumed = log.filter(({ server, headers }) => server === 'cdn' && headers.range !== undefined);
    tally.count('fills resumed', resumed.length);
    tally.count('files published', right.size - promisedBefore.size);
    for (const digest of right) this.#ledger.promise(digest);
  }

  /** Checks that everything can be pulled while the Hub works, whatever the crashes have left. */
  async #fill(): Promise<void> {
    const { tally } = this.#options;
    this.#hub.heal();
    const before = new Set(this.#ledger.promised);
    await this.#whileItRuns(async (core) => {
      for (const digest of await this.#pullEverything(core))
        tally.fault(`${digest} cannot be pulled any more`);
    });
    await this.#inspect(before);
  }

  /** Checks that everything that was published is served while the Hub is gone. */
  async #serveAlone(): Promise<void> {
    const { tally } = this.#options;
    await this.#hub.stop();
    this.#ledger.troubled.clear();
    const promised = new Set(this.#ledger.promised);
    await this.#whileItRuns(async (core) => {
      for (const digest of await this.#pullEverything(core, promised))
        tally.fault(`${digest} was published and is not served`);
    });
  }

  #pullEverything(core: CoreClient, only?: ReadonlySet<Digest>): Promise<Digest[]> {
    return pullEverything({ ...this.#options, core, ledger: this.#ledger }, only);
  }

  get #settings() {
    return {
      socket: path.join(this.#directory, 'core.sock'),
      directory: path.join(this.#directory, 'data'),
      hub: this.#hub.url.href,
      credential: ACCOUNT,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#hub[Symbol.asyncDispose]();
    await rm(this.#directory, { recursive: true });
  }
}
