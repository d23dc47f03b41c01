import type { LimitFunction } from 'p-limit';
import type { CoreAnswer, CoreClient } from '../../gateway/clients/core-client.ts';
import type { Digest } from '../../registry/digest.ts';
import { ERRORS } from '../../registry/error.ts';
import { parseTag, type Reference } from '../../registry/reference.ts';
import { attestedBy, type Descriptor, isSignature, parseImageDocument } from './image-document.ts';
import type { WantedImage } from './image-list.ts';
import { formatPlatforms, type Platform, type PlatformChoice } from './platform.ts';
import type { QuotaGuard } from './quota-guard.ts';
import { warmBlob } from './warm-blob.ts';

/** The result for one image. */
export interface WarmedImage {
  readonly image: string;
  /**
   * `cached`: it was cached already. `left`: it was not fetched, to spare the quota or because the core has
   * gone.
   */
  readonly status: 'fetched' | 'cached' | 'failed' | 'left';
  /** The digest that its tag names. */
  readonly digest?: Digest;
  /** The size of its configs and layers, and how much of it was not cached before. */
  readonly bytes: number;
  readonly fetchedBytes: number;
  /** The wanted platforms for which it is not built. */
  readonly missingPlatforms: readonly string[];
  /** True if the upstream cannot be asked, so that the tag is what it was before. */
  readonly stale: boolean;
  /** True if the core knows what refers to the image, such as signatures, or that nothing does. */
  readonly referrersKnown: boolean;
  /** The reason why it is not done. */
  readonly reason?: string;
}

export interface WarmOptions {
  readonly core: CoreClient;
  readonly guard: QuotaGuard;
  /** Limits the blobs under way, of all images together. */
  readonly blobs: LimitFunction;
  readonly platforms: PlatformChoice;
  /**
   * Called when the manifests are read, and when bytes have arrived. `fills` is true for bytes of a download
   * that is under way.
   */
  readonly onSized: (bytes: number) => void;
  readonly onBytes: (bytes: number, fills: boolean) => void;
}

/** The reason why an image is not done. */
type Stop = { readonly status: 'failed' | 'left'; readonly reason: string };
type FetchedManifest = Extract<CoreAnswer, { kind: 'manifest' }>;
type Refused = Extract<CoreAnswer, { kind: 'refused' }>;

/** The most levels of nested indexes; no known image has more. */
const MAX_DEPTH = 4;

/**
 * The endings of the tags `sha256-<hex>.sig` and `sha256-<hex>.att`, under which cosign looks for signatures
 * and attestations too.
 */
const COSIGN_SUFFIXES = ['.sig', '.att'];

/**
 * Makes the core fetch one image: its index, the manifests of the wanted platforms with their configs and
 * layers, their attestations, and the signatures of both. docker 29.1 and later asks for all of these.
 */
export async function warmImage(image: WantedImage, options: WarmOptions): Promise<WarmedImage> {
  const warming = new ImageWarmer(image, options);
  const stop = await warming.run();
  return { ...warming.outcome(), ...stop };
}

function failed(reason: string): Stop {
  return { status: 'failed', reason };
}

class ImageWarmer {
  readonly #image: WantedImage;
  readonly #options: WarmOptions;
  readonly #blobs = new Map<Digest, number>();
  /** The digests of the blobs that were fetched. */
  readonly #fetched = new Set<Digest>();
  /** The platforms that the image's indexes name. */
  readonly #built: Platform[] = [];
  /** The manifest that the tag names. */
  #root: FetchedManifest | undefined;
  /** The manifests of attestations. */
  readonly #attestations: Digest[] = [];
  /**
   * True if the upstream lets everybody read it. Only what is fetched without the account is served to
   * everybody later.
   */
  #isPublic = false;
  #isReferrersKnown = true;
  #hasFetched = false;
  #fetchedBytes = 0;

  constructor(image: WantedImage, options: WarmOptions) {
    this.#image = image;
    this.#options = options;
  }

  outcome(): WarmedImage {
    const digest = this.#root?.digest;
    return {
      image: this.#image.name,
      status: this.#hasFetched ? 'fetched' : 'cached',
      ...(digest !== undefined && { digest }),
      bytes: this.#size,
      fetchedBytes: this.#fetchedBytes,
      missingPlatforms: this.#options.platforms.missing(this.#built),
      stale: this.#root?.age !== undefined,
      referrersKnown: this.#isReferrersKnown,
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
        `it is not built for ${platforms.missing(this.#built).join(', ')}, but for ${formatPlatforms(this.#built)}`,
      );
    // A failure with referrers must not stop the image itself.
    return (await this.#fetchBlobs()) ?? (await this.#walkReferrers()) ?? (await this.#fetchBlobs());
  }

  /** Fetches the blobs of all manifests that were read, except those that were fetched before. */
  async #fetchBlobs(): Promise<Stop | undefined> {
    this.#options.onSized(this.#size);
    const missing = [...this.#blobs].filter(([digest]) => !this.#fetched.has(digest));
    const stops = await Promise.all(
      missing.map(([digest, size]) => this.#options.blobs(() => this.#fetchBlob(digest, size))),
    );
    return stops.find((one) => one !== undefined);
  }

  get #size(): number {
    return [...this.#blobs.values()].reduce((sum, size) => sum + size, 0);
  }

  /**
   * Returns the manifest that the tag names; a HEAD costs no pull. The first request uses no credential: the
   * core then learns that a public repository is public, and can serve it to everybody while the upstream is
   * unreachable.
   */
  async #head(): Promise<FetchedManifest | Stop> {
    const { reference } = this.#image;
    const open = await this.#ask('HEAD', reference, false);
    this.#isPublic = open.kind === 'manifest';
    return open.kind === 'manifest' ? open : this.#manifestOr(await this.#ask('HEAD', reference, true));
  }

  /** Fetches a manifest, and those below it. `digest` is the expected digest. */
  async #walk(reference: Reference, digest: Digest, depth: number): Promise<Stop | undefined> {
    const manifest = await this.#fetchManifest(reference, digest);
    if ('status' in manifest) return manifest;
    this.#root ??= manifest;
    const document = manifest.bytes === undefined ? undefined : parseImageDocument(manifest.bytes);
    if (document === undefined || depth > MAX_DEPTH) return failed(`${manifest.digest} cannot be read`);
    for (const blob of document.blobs) this.#blobs.set(blob.digest, blob.size);
    // Attestations have no platform; their index entries say `unknown`.
    for (const child of document.manifests)
      if (child.platform !== undefined && child.platform.os !== 'unknown') this.#built.push(child.platform);
    return this.#walkAll(this.#wantedOf(document.manifests), depth + 1);
  }

  /** Returns the manifests of the wanted platforms, and the attestations of these. */
  #wantedOf(manifests: readonly Descriptor[]): readonly Descriptor[] {
    const { platforms } = this.#options;
    const images = new Set<string>(
      manifests.filter(({ platform }) => platforms.includes(platform)).map(({ digest }) => digest),
    );
    return manifests.filter((child) => {
      const isAttestation = images.has(attestedBy(child) ?? '');
      if (isAttestation) this.#attestations.push(child.digest);
      return isAttestation || images.has(child.digest);
    });
  }

  async #walkAll(manifests: readonly Descriptor[], depth: number): Promise<Stop | undefined> {
    for (const { digest } of manifests) {
      const stop = await this.#walk({ kind: 'digest', digest }, digest, depth);
      if (stop !== undefined) return stop;
    }
    return undefined;
  }

  /**
   * Makes the core learn what refers to the image and to its attestations, and fetches the signatures. The
   * core caches an answer for each kind of read access.
   */
  async #walkReferrers(): Promise<Stop | undefined> {
    const root = this.#root?.digest;
    if (root === undefined) return undefined;
    const steps = [
      ...[...new Set([root, ...this.#attestations])].map((digest) => () => this.#walkReferrersOf(digest)),
      ...COSIGN_SUFFIXES.map((suffix) => () => this.#walkTag(root, suffix)),
    ];
    for (const step of steps) {
      const stop = await step();
      if (stop !== undefined || !this.#isReferrersKnown) return stop;
    }
    return undefined;
  }

  async #walkReferrersOf(digest: Digest): Promise<Stop | undefined> {
    const { repository } = this.#image;
    const route = { kind: 'referrers', repository, digest } as const;
    const answer = await this.#askForAll((reachesPrivate) =>
      this.#options.core.pull(route, { method: 'GET', private: reachesPrivate }),
    );
    if (answer.kind === 'refused')
      return answer.error === 'MANIFEST_UNKNOWN' ? this.#walkTag(digest) : this.#unknownFor(answer);
    if (answer.kind !== 'document')
      throw new Error(`the core answers with a ${answer.kind} for a list of referrers`);
    return this.#walkAll((parseImageDocument(answer.bytes)?.manifests ?? []).filter(isSignature), 1);
  }

  /** Fetches what a tag names that stands for a list of referrers, or for a signature. */
  async #walkTag(digest: Digest, suffix = ''): Promise<Stop | undefined> {
    const tag = parseTag(`${digest.replace(':', '-')}${suffix}`);
    if (tag === undefined) return undefined;
    const reference = { kind: 'tag', tag } as const;
    const head = await this.#askForAll((reachesPrivate) => this.#ask('HEAD', reference, reachesPrivate));
    if (head.kind === 'manifest') return this.#walk(reference, head.digest, 1);
    if (head.kind === 'refused' && head.error !== 'MANIFEST_UNKNOWN') return this.#unknownFor(head);
    return undefined;
  }

  /**
   * Asks without the account if everybody may read the image, and then with the account. Returns the answer
   * for the account.
   */
  async #askForAll(ask: (reachesPrivate: boolean) => Promise<CoreAnswer>): Promise<CoreAnswer> {
    if (this.#isPublic) await ask(false);
    return ask(true);
  }

  /** An image is usable without what refers to it, so a failure with that does not make it fail. */
  #unknownFor(refused: Refused): Stop | undefined {
    if (refused.error === 'TOO_MANY_PULLS') return this.#stopFor(refused);
    this.#isReferrersKnown = false;
    return undefined;
  }

  /**
   * Fetches a manifest by its tag if it has one, so that the core also learns that the tag names this
   * manifest.
   */
  async #fetchManifest(reference: Reference, digest: Digest): Promise<FetchedManifest | Stop> {
    const admitted = await this.#options.guard.admit(
      this.#image.repository.upstream,
      async () => {
        // Only an answer to the account says what is left of the account's quota.
        const head = await this.#ask('HEAD', { kind: 'digest', digest }, true);
        return head.kind === 'manifest' && head.cache === 'hit';
      },
      () => this.#ask('GET', reference, !this.#isPublic),
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

  #manifestOr(answer: CoreAnswer): FetchedManifest | Stop {
    if (answer.kind === 'refused') return this.#stopFor(answer);
    if (answer.kind !== 'manifest') throw new Error(`the core answers with a ${answer.kind} for a manifest`);
    return answer;
  }

  async #fetchBlob(digest: Digest, size: number): Promise<Stop | undefined> {
    const { core, onBytes } = this.#options;
    const blob = await warmBlob({
      core,
      repository: this.#image.repository,
      digest,
      private: !this.#isPublic,
      onBytes,
    });
    if (blob.kind === 'refused') return this.#stopFor(blob, `${digest}: `);
    if (blob.kind === 'unwritable')
      return failed('the cache cannot be written; the log of the core says why');
    this.#fetched.add(digest);
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
