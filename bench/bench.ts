/** Holds the servers, the content and the way to measure that all cases share. */
import { mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ensureServerCertificate } from '../src/pki/local-ca.ts';
import { startTokenService, type TokenService } from '../test/e2e/support/token-service.ts';
import { ACCOUNT } from '../test/support/test-core.ts';
import { type BenchImage, type Layer, MIB, makeImage, Pool, writeContent } from './content.ts';
import { takeLoopDelay } from './event-loops.ts';
import { cpuSeconds, MemoryWatch } from './process-tree.ts';
import { Rows, type Sample } from './results.ts';
import type { BenchServer, ServerKind, StartOptions } from './servers/server.ts';
import { startUpstream, type Upstream } from './servers/upstream.ts';

export interface BenchSettings {
  readonly quick: boolean;
  /** The number of rounds, in place of each group's own. */
  readonly rounds: number | undefined;
  /** The duration of one measurement. */
  readonly seconds: number;
  /** The kinds of servers that are installed, in the order of the tables. */
  readonly kinds: readonly ServerKind[];
  /** When it is aborted, nothing more is started or measured: the next step throws. */
  readonly stopping: AbortSignal;
}

export interface CaseGroup {
  readonly name: string;
  readonly title: string;
  /** How often each server is measured. A whole run takes an hour, and a quick one three minutes. */
  readonly rounds: { readonly full: number; readonly quick: number };
  /** The programs that it cannot do without. Debian's packages have their names. */
  readonly programs?: readonly string[];
  run(bench: Bench): Promise<void>;
}

export interface Cost {
  readonly cpuSeconds: number;
  /** In bytes. */
  readonly peakMemory: number;
  /** How late the event loops were, if the server reports it. */
  readonly loop: Sample;
}

/** In milliseconds. Each look makes the kernel walk through the page tables of all processes of the tree. */
const LOOK_EVERY = 500;
/** Further digits are noise. */
const DIGITS = 5;
/**
 * The number of requests. The first ten thousand of a kind cost V8 two to three times as much as later ones,
 * in each of two gateways.
 */
const WARM_UP = 20_000;
/** In seconds. After this time a server is warm enough. */
const WARM_UP_AT_MOST = 8;
const QUICK_WARM_UP_AT_MOST = 1;

export class Bench implements AsyncDisposable {
  readonly settings: BenchSettings;
  readonly directory: string;
  readonly pool = new Pool();
  readonly upstream: Upstream;
  rows = new Rows();
  rounds = 1;
  readonly #tls: StartOptions['tls'];
  readonly #tokens: TokenService;
  readonly #stack = new AsyncDisposableStack();
  #started = 0;

  static async start(settings: BenchSettings): Promise<Bench> {
    await using stack = new AsyncDisposableStack();
    const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-bench-'));
    stack.defer(() => rm(directory, { recursive: true, force: true }));
    const at = (name: string) => path.join(directory, name);
    const tls = { certificate: at('server.crt'), key: at('server.key'), ca: at('ca.crt') };
    await ensureServerCertificate({
      ca: { certificate: tls.ca, key: at('ca.key') },
      server: tls,
      names: ['localhost', '127.0.0.1'],
      clock: Date.now,
    });
    const tokens = await startTokenService(ACCOUNT, () => true);
    stack.defer(() => tokens.stop());
    const upstream = stack.use(await startUpstream());
    const bench = new Bench(settings, directory, tls, tokens, upstream);
    bench.#stack.use(stack.move());
    return bench;
  }

  private constructor(
    settings: BenchSettings,
    directory: string,
    tls: StartOptions['tls'],
    tokens: TokenService,
    upstream: Upstream,
  ) {
    this.settings = settings;
    this.directory = directory;
    this.#tls = tls;
    this.#tokens = tokens;
    this.upstream = upstream;
  }

  /** Makes an image that the stand-in Hub has from now on. */
  async image(tag: string, layers: readonly Layer[]): Promise<BenchImage> {
    const image = makeImage(this.pool, tag, layers);
    await this.upstream.push(image);
    return image;
  }

  /** Returns the directory with a file for each digest of the images. */
  async files(images: readonly BenchImage[]): Promise<string> {
    const directory = path.join(this.directory, 'content');
    await writeContent(directory, images);
    return directory;
  }

  /** Returns the options with which a server of any kind is started, in a directory of its own. */
  async options(images: readonly BenchImage[] | undefined): Promise<StartOptions> {
    const directory = path.join(this.directory, `server-${++this.#started}`);
    await mkdir(directory);
    const contentDirectory = path.join(this.directory, 'content');
    const shared = { tls: this.#tls, upstream: this.upstream, tokens: this.#tokens };
    return { directory, contentDirectory, images, ...shared };
  }

  /** Starts servers side by side that have the images. They end with the stack. */
  async startAll(
    images: readonly BenchImage[],
    stack: AsyncDisposableStack,
    kinds = this.settings.kinds,
    more: Pick<StartOptions, 'isPushedTo'> = {},
  ): Promise<BenchServer[]> {
    await this.files(images);
    const servers: BenchServer[] = [];
    for (const kind of kinds) servers.push(await this.startOne(kind, images, stack, more));
    return servers;
  }

  async startOne(
    kind: ServerKind,
    images: readonly BenchImage[] | undefined,
    stack: AsyncDisposableStack,
    more: Pick<StartOptions, 'isPushedTo'> = {},
  ): Promise<BenchServer> {
    this.settings.stopping.throwIfAborted();
    const options = { ...(await this.options(images)), ...more };
    stack.defer(() => rm(options.directory, { recursive: true, force: true }));
    return stack.use(await kind.start(options));
  }

  /**
   * Runs rounds over the servers. Each round begins with another server, so that none always runs after the
   * same one.
   */
  async interleave<T>(
    all: readonly T[],
    measure: (one: T) => Promise<void>,
    rounds = this.rounds,
  ): Promise<void> {
    for (let round = 0; round < rounds; round++) {
      for (let turn = 0; turn < all.length; turn++) {
        await measure(all[(round + turn) % all.length] as T);
      }
    }
  }

  /** Begins a group: its measurements get their own rows, and as many rounds as it wants. */
  begin({ rounds }: CaseGroup): void {
    this.rows = new Rows();
    this.rounds = this.settings.rounds ?? (this.settings.quick ? rounds.quick : rounds.full);
  }

  /**
   * Puts the same short load on each server, without measuring it, because a server that gets thousands of
   * requests a second has usually run for weeks, and not for seconds.
   */
  async warmUp<T>(
    all: readonly T[],
    load: (one: T, seconds: number) => Promise<{ readonly requests: number }>,
  ): Promise<void> {
    const atMost = this.settings.quick ? QUICK_WARM_UP_AT_MOST : WARM_UP_AT_MOST;
    for (const one of all) {
      const end = performance.now() + atMost * 1000;
      for (let answered = 0; answered < WARM_UP && performance.now() < end; ) {
        this.settings.stopping.throwIfAborted();
        answered += (await load(one, 1)).requests;
      }
    }
  }

  /**
   * Fills page cache and frees it, so that what is written next finds this memory. A virtual machine can give
   * free memory back to its host, and to get it again costs up to five times the CPU time of writing to it.
   */
  async warmPageCache(bytes: number): Promise<void> {
    const file = path.join(this.directory, 'filler');
    const piece = Buffer.alloc(MIB);
    {
      await using handle = await open(file, 'w');
      for (let at = 0; at < bytes; at += piece.length) await handle.writeFile(piece);
    }
    await rm(file);
  }

  /** Runs a load, and returns what it has cost the server's whole tree. */
  async cost<T>(server: BenchServer, load: () => Promise<T>): Promise<[T, Cost]> {
    this.settings.stopping.throwIfAborted();
    await takeLoopDelay(server);
    using watch = new MemoryWatch(server.pid, LOOK_EVERY);
    const before = cpuSeconds(server.pid);
    const result = await load();
    const used = cpuSeconds(server.pid) - before;
    const delay = await takeLoopDelay(server);
    const loop: Sample = delay === undefined ? {} : { 'loop p99 ms': delay.p99, 'loop max ms': delay.max };
    return [result, { cpuSeconds: used, peakMemory: watch.peak(), loop }];
  }

  record(what: string, server: string, sample: Sample): void {
    const digits = Object.entries(sample).map(([name, value]) => [name, Number(value.toPrecision(DIGITS))]);
    this.rows.add(what, server, Object.fromEntries(digits));
    const numbers = Object.entries(sample).map(([name, value]) => `${name} ${shortly(value)}`);
    process.stdout.write(`  ${what.padEnd(34)} ${server.padEnd(16)} ${numbers.join('  ')}\n`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

export function shortly(value: number): string {
  if (!Number.isFinite(value)) return '–';
  if (Math.abs(value) >= 100) return value.toLocaleString('en', { maximumFractionDigits: 0 });
  if (Math.abs(value) >= 10) return value.toFixed(1);
  return value === 0 ? '0' : value.toPrecision(3).replace(/\.0+$/, '');
}
