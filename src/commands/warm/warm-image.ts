import type { LimitFunction } from 'p-limit';
import type { Core, CoreAnswer } from '../../gateway/handover/core.ts';
import type { Digest } from '../../registry/digest.ts';
import { ERRORS } from '../../registry/error.ts';
import type { Reference } from '../../registry/reference.ts';
import { readImageDocument } from './image-document.ts';
import type { WantedImage } from './image-list.ts';
import { type Platform, type PlatformChoice, writePlatforms } from './platform.ts';
import type { QuotaGuard } from './quota-guard.ts';
import { warmBlob } from './warm-blob.ts';

/** What came of one image. */
export interface WarmedImage {
  readonly image: string;
  /** `cached`: it was here already. `left`: it was not fetched, to spare the quota or because there is no core any more. */
  readonly status: 'fetched' | 'cached' | 'failed' | 'left';
  /** What its tag names. */
  readonly digest?: Digest;
  /** Of its configs and layers, and what of it was not here. */
  readonly bytes: number;
  readonly fetchedBytes: number;
  /** Those of the wanted platforms for which it is not built. */
  readonly missingPlatforms: readonly string[];
  /** The tag is what it was when the upstream could last be asked. */
  readonly stale: boolean;
  /** Why it is not done. */
  readonly reason?: string;
}

export interface WarmOptions {
  readonly core: Core;
  readonly guard: QuotaGuard;
  /** Bounds the blobs under way, of all images together. */
  readonly blobs: LimitFunction;
  readonly platforms: PlatformChoice;
  /** Told when the manifests are read, and when bytes are here; `fills`: by a download that is under way. */
  readonly sized: (bytes: number) => void;
  readonly came: (bytes: number, fills: boolean) => void;
}

/** Why an image is not done. */
type Stop = { readonly status: 'failed' | 'left'; readonly reason: string };
type Manifest = Extract<CoreAnswer, { kind: 'manifest' }>;
type Refused = Extract<CoreAnswer, { kind: 'refused' }>;

/** Indexes within each other; more than any that was seen. */
const MAX_DEPTH = 4;

/** Has the core fetch one image: its index, the manifests of the wanted platforms, and their configs and layers. */
export async function warmImage(image: WantedImage, options: WarmOptions): Promise<WarmedImage> {
  const warming = new Warming(image, options);
  const stop = await warming.run();
  return { ...warming.outcome(), ...stop };
}

function failed(reason: string): Stop {
  return { status: 'failed', reason };
}

class Warming {
  readonly #image: WantedImage;
  readonly #options: WarmOptions;
  readonly #blobs = new Map<Digest, number>();
  /** The platforms that its indexes name. */
  readonly #built: Platform[] = [];
  #top: Manifest | undefined;
  #hasFetched = false;
  #fetchedBytes = 0;

  constructor(image: WantedImage, options: WarmOptions) {
    this.#image = image;
    this.#options = options;
  }

  outcome(): WarmedImage {
    const digest = this.#top?.digest;
    return {
      image: this.#image.name,
      status: this.#hasFetched ? 'fetched' : 'cached',
      ...(digest !== undefined && { digest }),
      bytes: this.#size,
      fetchedBytes: this.#fetchedBytes,
      missingPlatforms: this.#options.platforms.missing(this.#built),
      stale: this.#top?.age !== undefined,
    };
  }

  async run(): Promise<Stop | undefined> {
    const head = await this.#head();
    if ('status' in head) return head;
    const stop = await this.#walk(this.#image.reference, head.digest, 0);
    if (stop !== undefined) return stop;
    const { platforms } = this.#options;
    if (this.#blobs.size === 0 && this.#built.length > 0)
      return failed(
        `it is not built for ${platforms.missing(this.#built).join(', ')}, but for ${writePlatforms(this.#built)}`,
      );
    this.#options.sized(this.#size);
    const stops = await Promise.all(
      [...this.#blobs].map(([digest, size]) => this.#options.blobs(() => this.#fetchBlob(digest, size))),
    );
    return stops.find((one) => one !== undefined);
  }

  get #size(): number {
    return [...this.#blobs.values()].reduce((sum, size) => sum + size, 0);
  }

  /**
   * What its tag names; a HEAD costs no pull. Asked as the whole world could first: the core then knows a public repository for
   * one, and can serve it to everybody while the upstream is away.
   */
  async #head(): Promise<Manifest | Stop> {
    const { reference } = this.#image;
    const open = await this.#ask('HEAD', reference, false);
    return open.kind === 'manifest' ? open : this.#manifestOr(await this.#ask('HEAD', reference, true));
  }

  /** Fetches a manifest, and those below it; `digest` is what it will be. */
  async #walk(reference: Reference, digest: Digest, depth: number): Promise<Stop | undefined> {
    const manifest = await this.#fetchManifest(reference, digest);
    if ('status' in manifest) return manifest;
    this.#top ??= manifest;
    const document = manifest.bytes === undefined ? undefined : readImageDocument(manifest.bytes);
    if (document === undefined || depth > MAX_DEPTH) return failed(`${manifest.digest} cannot be read`);
    for (const blob of document.blobs) this.#blobs.set(blob.digest, blob.size);
    for (const child of document.manifests) {
      // Attestations are of no platform, and say that it is unknown.
      if (child.platform !== undefined && child.platform.os !== 'unknown') this.#built.push(child.platform);
      if (!this.#options.platforms.includes(child.platform)) continue;
      const stop = await this.#walk({ kind: 'digest', digest: child.digest }, child.digest, depth + 1);
      if (stop !== undefined) return stop;
    }
    return undefined;
  }

  /** By its tag where it has one: that the tag names this manifest is then known with the manifest. */
  async #fetchManifest(reference: Reference, digest: Digest): Promise<Manifest | Stop> {
    const admitted = await this.#options.guard.admit(
      this.#image.repository.upstream,
      async () => {
        const head = await this.#ask('HEAD', { kind: 'digest', digest }, true);
        return head.kind === 'manifest' && head.cache === 'hit';
      },
      () => this.#ask('GET', reference, true),
    );
    if ('held' in admitted) return { status: 'left', reason: admitted.held };
    const manifest = this.#manifestOr(admitted.fetched);
    if ('cache' in manifest && manifest.cache === 'fill') this.#hasFetched = true;
    return manifest;
  }

  #ask(method: 'GET' | 'HEAD', reference: Reference, reachesPrivate: boolean): Promise<CoreAnswer> {
    const { repository } = this.#image;
    const route = { kind: 'manifest', repository, reference } as const;
    return this.#options.core.pull(route, { method, private: reachesPrivate });
  }

  #manifestOr(answer: CoreAnswer): Manifest | Stop {
    if (answer.kind === 'refused') return this.#stopFor(answer);
    if (answer.kind !== 'manifest') throw new Error(`the core answers with a ${answer.kind} for a manifest`);
    return answer;
  }

  async #fetchBlob(digest: Digest, size: number): Promise<Stop | undefined> {
    const { core, came } = this.#options;
    const blob = await warmBlob({ core, repository: this.#image.repository, digest, came });
    if (blob.kind === 'refused') return this.#stopFor(blob, `${digest}: `);
    if (blob.kind === 'unwritable')
      return failed('the cache cannot be written; the log of the core says why');
    if (blob.filled) {
      this.#hasFetched = true;
      this.#fetchedBytes += size;
    }
    return undefined;
  }

  #stopFor({ error, retryAfter }: Refused, of = ''): Stop {
    if (error === 'TOO_MANY_PULLS') {
      const reason = this.#options.guard.limited(this.#image.repository.upstream, retryAfter);
      return { status: 'left', reason };
    }
    if (error === 'MANIFEST_UNKNOWN')
      return failed('the upstream has no such image, or does not show it to this mirror’s account');
    return failed(`${of}${ERRORS[error].message}`);
  }
}
