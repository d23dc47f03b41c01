import pLimit from 'p-limit';
import { readPolicy } from '../../access/load-policy.ts';
import type { Config } from '../../config/config.ts';
import type { Environment } from '../../config/environment.ts';
import { type HomePaths, pathsIn } from '../../config/home.ts';
import { policyContext } from '../../config/policy-context.ts';
import type { CoreClient } from '../../gateway/clients/core-client.ts';
import { openLocalCoreClient } from '../../gateway/clients/local-core-client.ts';
import { Interruption } from '../../launch/interruption.ts';
import { loadOrPrint, printFaults } from '../../launch/load.ts';
import { type ExitCode, printLine, type Terminal } from '../../launch/terminal.ts';
import { systemClock } from '../../platform/clock.ts';
import { PeerUnreachable } from '../../platform/ipc/http-client.ts';
import { messageOf } from '../../platform/reason.ts';
import { unlessAborted } from '../../platform/scheduling/deadline.ts';
import { CORE_STATUS, type CoreStatus } from '../../protocol/core-api.ts';
import type { UpstreamHost } from '../../registry/repository.ts';
import { askCore } from '../ask-role.ts';
import { TransferProgress } from '../progress.ts';
import { readImageList, type WantedImage } from './image-list.ts';
import { type PlatformChoice, parsePlatforms } from './platform.ts';
import { QuotaGuard } from './quota-guard.ts';
import { type WarmedImage, warmImage } from './warm-image.ts';
import { WarmProgress } from './warm-progress.ts';
import { formatImage, printSummary } from './warm-report.ts';

export interface WarmCommandOptions {
  readonly home: string;
  readonly json: boolean;
  /** The platforms as the user wrote them. */
  readonly platform?: readonly string[];
}

/** The images under way at a time. There are several, so that a large layer does not hold up small images. */
const CONCURRENT_IMAGES = 3;
/**
 * The downloads at a time, of all images together. A single client uses as many, so other people's fills are
 * not starved.
 */
const CONCURRENT_BLOBS = 4;

/**
 * Makes the running core fetch images ahead. Returns 0 if all are cached. Returns 1 if some are not, after
 * saying why; another call continues. Returns 2 after bad usage, and then nothing is fetched.
 */
export async function warm(
  args: readonly string[],
  options: WarmCommandOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const paths = pathsIn(options.home);
  const config = await loadOrPrint(paths, environment, terminal);
  if (config === undefined) return 2;
  const wanted = await readArguments(args, options, config, terminal);
  if (wanted === undefined) return 2;
  if (config.coreUrl !== undefined) {
    printLine(terminal.stderr, `hubgate: the core is ${config.coreUrl} (core.url): it fills its own cache`);
    return 1;
  }
  const before = await askCore(options, { method: 'GET', path: '/status', schema: CORE_STATUS }, terminal);
  if (typeof before === 'string') return 1;
  await using core = openLocalCoreClient({ socket: paths.coreSocket, directory: config.cache.directory });
  using interruption = new Interruption();
  const reserved = await readReserved(config, paths);
  const batch = new Batch({ wanted, core, reserved, json: options.json, terminal });
  try {
    await unlessAborted(batch.run(interruption.signal), interruption.signal);
  } catch (error) {
    if (!interruption.signal.aborted) throw error;
    printInterrupted(batch, terminal);
    return 1;
  }
  const unwritten = await unwrittenSince(before.answer, core);
  printSummary(batch.done, unwritten, options.json, terminal);
  return unwritten === 0 && batch.done.every(isHere) ? 0 : 1;
}

/**
 * Returns the share of each upstream's quota that the policy reserves. A policy that cannot be read reserves
 * nothing here; `hubgate check` says what is wrong with it.
 */
async function readReserved(config: Config, paths: HomePaths): Promise<(host: UpstreamHost) => number> {
  const read = await readPolicy(paths.policy, systemClock(), policyContext(config));
  const reserves = 'value' in read ? (read.value.policy.data.reserves ?? []) : [];
  return (host) =>
    reserves.filter(({ upstream }) => upstream === host).reduce((sum, { keep }) => sum + keep, 0);
}

interface WarmedSelection {
  readonly images: readonly WantedImage[];
  readonly platforms: PlatformChoice;
}

/** Returns undefined after printing everything that is wrong with the arguments. */
async function readArguments(
  args: readonly string[],
  { platform = [] }: WarmCommandOptions,
  { upstreams, server }: Config,
  terminal: Terminal,
): Promise<WarmedSelection | undefined> {
  const hosts = new Set<string>(upstreams.map(({ host }) => host));
  const self = new URL(server.url).host;
  const list = await readImageList(args, { upstreams: hosts, self, stdin: terminal.stdin });
  const platforms = parsePlatforms(platform);
  if ('value' in list && 'value' in platforms) return { images: list.value, platforms: platforms.value };
  for (const read of [platforms, list]) if ('faults' in read) printFaults(read.faults, terminal);
  return undefined;
}

interface BatchOptions {
  readonly wanted: WarmedSelection;
  readonly core: CoreClient;
  readonly reserved: (host: UpstreamHost) => number;
  readonly json: boolean;
  readonly terminal: Terminal;
}

/** The images of one call, while they are fetched. */
class Batch {
  readonly done: WarmedImage[] = [];
  readonly wanted: WarmedSelection;
  readonly #core: CoreClient;
  readonly #json: boolean;
  readonly #terminal: Terminal;
  readonly #guard: QuotaGuard;
  readonly #blobs = pLimit(CONCURRENT_BLOBS);
  readonly #underWay: WarmProgress;
  /** True if the core does not answer any more. */
  #isGone = false;

  constructor({ wanted, core, reserved, json, terminal }: BatchOptions) {
    this.wanted = wanted;
    this.#core = core;
    this.#json = json;
    this.#terminal = terminal;
    this.#guard = new QuotaGuard({ status: () => core.status(), reserved });
    this.#underWay = new WarmProgress(wanted.images.length);
  }

  /** Stops at once when `signal` is aborted. The core continues the fetches that it has begun. */
  async run(signal: AbortSignal): Promise<void> {
    const { images, platforms } = this.wanted;
    const { stdout } = this.#terminal;
    if (!this.#json) printLine(stdout, `images: ${images.length}, for ${platforms}`);
    using progress = new TransferProgress(this.#terminal, () => this.#underWay.lines());
    signal.addEventListener('abort', () => progress[Symbol.dispose]());
    const one = pLimit(CONCURRENT_IMAGES);
    const warmed = images.map((image) =>
      one(async () => {
        if (signal.aborted) return;
        const result = await this.#warm(image);
        if (signal.aborted) return;
        this.done.push(result);
        progress.print(stdout, this.#json ? JSON.stringify(result) : formatImage(result));
      }),
    );
    await Promise.all(warmed);
  }

  async #warm(image: WantedImage): Promise<WarmedImage> {
    if (this.#isGone) return notDone(image, 'left', 'the core does not answer any more');
    const underWay = this.#underWay.begin(image.name);
    try {
      return await warmImage(image, {
        core: this.#core,
        guard: this.#guard,
        blobs: this.#blobs,
        platforms: this.wanted.platforms,
        onSized: (bytes) => {
          underWay.bytes = bytes;
        },
        onBytes: (bytes, fills) => this.#underWay.came(underWay, bytes, fills),
      });
    } catch (error) {
      if (error instanceof PeerUnreachable) this.#isGone = true;
      return notDone(image, 'failed', messageOf(error));
    } finally {
      this.#underWay.end(underWay);
    }
  }
}

function notDone({ name: image }: WantedImage, status: 'failed' | 'left', reason: string): WarmedImage {
  const nothing = { bytes: 0, fetchedBytes: 0, missingPlatforms: [], stale: false, referrersKnown: false };
  return { image, status, ...nothing, reason };
}

function isHere({ status }: WarmedImage): boolean {
  return status === 'fetched' || status === 'cached';
}

/**
 * Counts the answers that the core could not cache meanwhile. If the core has gone, the count is 1, because
 * it could not cache either.
 */
async function unwrittenSince(before: CoreStatus, core: CoreClient): Promise<number> {
  const now = await core.status().catch(() => undefined);
  return now === undefined ? 1 : CORE_STATUS.parse(now).cache.unwritten - before.cache.unwritten;
}

function printInterrupted({ done, wanted: { images } }: Batch, { stderr }: Terminal): void {
  printLine(stderr, `hubgate: interrupted; ${done.length} of ${images.length} images are through`);
  printLine(
    stderr,
    'hubgate: what is being downloaded goes on; the same command goes on with the rest, and nothing comes twice',
  );
}
