import { setTimeout as delay } from 'node:timers/promises';
import type { CoreAnswer, CoreClient } from '../../gateway/clients/core-client.ts';
import { type Digest, parseDigest } from '../../registry/digest.ts';
import { ERRORS, type ErrorName } from '../../registry/error.ts';
import { parseTag, type Reference, type Tag } from '../../registry/reference.ts';
import { isHosted, type Repository } from '../../registry/repository.ts';
import type { RepositoryRoute } from '../../registry/route.ts';
import { parseImageDocument } from '../warm/image-document.ts';
import { warmBlob } from '../warm/warm-blob.ts';
import type { HostedWriter } from './hosted-writer.ts';
import type { Judgement, Promoter } from './promoter.ts';

export interface Promotion {
  readonly source: Repository;
  readonly reference: Reference;
  readonly target: Repository;
  readonly tag: Tag;
}

export interface PromoteOptions {
  readonly core: CoreClient;
  readonly promoter: Promoter;
  /** Absent if nothing is to be written, but only said. */
  readonly writer?: HostedWriter | undefined;
}

/** The content that was promoted, or would be. */
export interface Promoted {
  readonly digest: Digest;
  readonly manifests: number;
  readonly blobs: number;
  /** Signatures, SBOMs and others that refer to the image; they are among the manifests. */
  readonly referrers: number;
  /** The digest that the tag named before, if it was another one. */
  readonly previous: string | null;
}

/** Thrown if the source cannot be read. Its message says why. */
export class SourceUnavailable extends Error {
  override readonly name = 'SourceUnavailable';
  readonly status: number;

  constructor(message: string, status: number) {
    super(message);
    this.status = status;
  }
}

/** Thrown if the policy does not allow it. */
export class PromotionDenied extends Error {
  override readonly name = 'PromotionDenied';
  readonly status = 403;
  readonly rule: string | undefined;

  constructor(message: string, rule: string | undefined) {
    super(message);
    this.rule = rule;
  }
}

type ReferrersRoute = Extract<RepositoryRoute, { kind: 'referrers' }>;
type ReadManifest = Extract<CoreAnswer, { kind: 'manifest' }> & { readonly bytes: Buffer };

/** The most levels of nested indexes, and of referrers that refer to referrers. */
const MAX_DEPTH = 4;
const MAX_REFERRER_DEPTH = 3;
/** The most requests for a blob until it is durable. Each pause is longer by `AGAIN_AFTER` milliseconds. */
const ATTEMPTS = 60;
const AGAIN_AFTER = 20;
/** The endings of the tags under which cosign 2 keeps the signatures and attestations of an image. */
const COSIGN_SUFFIXES = ['', '.sig', '.att', '.sbom'];

/**
 * Puts an image into a hosted repository under the digest that it has: first its blobs, then its manifests
 * from the bottom up, then what refers to it, and its tag last. So nobody sees a part of it. It can be
 * repeated.
 * @throws PromotionDenied
 * @throws SourceUnavailable
 * @throws HostingRefused
 */
export function promoteImage(promotion: Promotion, options: PromoteOptions): Promise<Promoted> {
  return new Promoting(promotion, options).run();
}

class Promoting {
  readonly #promotion: Promotion;
  readonly #options: PromoteOptions;
  readonly #blobs = new Set<Digest>();
  readonly #manifests = new Set<Digest>();
  #referrers = 0;
  #reachesPrivate = false;

  constructor(promotion: Promotion, options: PromoteOptions) {
    this.#promotion = promotion;
    this.#options = options;
  }

  async run(): Promise<Promoted> {
    const { source, reference, target, tag } = this.#promotion;
    const { private: reachesPrivate } = this.#require('pull', source, tagOf(reference));
    this.#reachesPrivate = reachesPrivate;
    this.#require('push', target, tag);
    const top = await this.#fetch(reference);
    await this.#copy(top, 0);
    await this.#copyReferrers(top.digest, 1);
    await this.#copyTagsOf(top.digest);
    const previous = await this.#put({ kind: 'tag', tag }, top);
    return {
      previous: previous ?? null,
      digest: top.digest,
      manifests: this.#manifests.size,
      blobs: this.#blobs.size,
      referrers: this.#referrers,
    };
  }

  /** Copies a manifest after all that it names. */
  async #copy(manifest: ReadManifest, depth: number): Promise<void> {
    if (this.#manifests.has(manifest.digest)) return;
    const document = parseImageDocument(manifest.bytes);
    if (document === undefined || depth > MAX_DEPTH)
      throw new SourceUnavailable(`${manifest.digest} cannot be read`, 404);
    for (const { digest } of document.manifests)
      await this.#copy(await this.#fetch({ kind: 'digest', digest }), depth + 1);
    for (const { digest } of document.blobs) await this.#copyBlob(digest);
    // Upstreams do not have these, and answer in many ways when they are asked for one.
    if (isHosted(this.#promotion.source))
      for (const { digest } of document.layersElsewhere) await this.#copyBlob(digest, 'if present');
    await this.#put({ kind: 'digest', digest: manifest.digest }, manifest);
    this.#manifests.add(manifest.digest);
  }

  /** Makes the core fetch a blob that is not cached, and takes it from there. */
  async #copyBlob(digest: Digest, which: 'always' | 'if present' = 'always'): Promise<void> {
    const { core, writer } = this.#options;
    if (this.#blobs.has(digest)) return;
    this.#blobs.add(digest);
    if (writer === undefined) return;
    const { source: repository } = this.#promotion;
    // The core makes a blob durable after its last byte, and only then can it be mounted. After the last
    // attempt `mount` is asked nevertheless, and refuses if the blob is still not there.
    for (let isNew = true, attempt = 1; isNew && attempt <= ATTEMPTS; attempt++) {
      if (attempt > 1) await delay(attempt * AGAIN_AFTER);
      const blob = await warmBlob({
        ...{ core, repository, digest, private: this.#reachesPrivate },
        onBytes: () => {},
      });
      if (blob.kind === 'refused' && blob.error === 'BLOB_UNKNOWN' && which === 'if present')
        return void this.#blobs.delete(digest);
      if (blob.kind === 'refused') throw unavailable(blob.error, `${digest}: `);
      if (blob.kind === 'unwritable')
        throw new SourceUnavailable('the cache cannot be written; the log of the core says why', 503);
      isNew = blob.filled;
    }
    await writer.mount(repository, digest, this.#reachesPrivate ? 'private' : 'public');
  }

  /** Copies the referrers of a manifest, and the referrers of these. */
  async #copyReferrers(digest: Digest, depth: number): Promise<void> {
    for await (const referrer of this.#referrersOf(digest)) {
      if (this.#manifests.has(referrer)) continue;
      await this.#copy(await this.#fetch({ kind: 'digest', digest: referrer }), 0);
      this.#referrers++;
      if (depth < MAX_REFERRER_DEPTH) await this.#copyReferrers(referrer, depth + 1);
    }
  }

  /** Lists the referrers of a manifest, page by page. An upstream without such a list has none. */
  async *#referrersOf(digest: Digest): AsyncGenerator<Digest, void> {
    const { source: repository } = this.#promotion;
    for (let route: ReferrersRoute | undefined = { kind: 'referrers', repository, digest }; route; ) {
      const answer: CoreAnswer = await this.#pull(route);
      if (answer.kind === 'refused' && answer.error === 'MANIFEST_UNKNOWN') return;
      if (answer.kind === 'refused') throw unavailable(answer.error);
      if (answer.kind !== 'document')
        throw new Error(`the core answers with a ${answer.kind} for a list of referrers`);
      for (const referrer of parseImageDocument(answer.bytes)?.manifests ?? []) yield referrer.digest;
      const last = parseDigest(answer.next?.last ?? '');
      route = last && { ...route, last };
    }
  }

  /** Copies what cosign 2 and clients of registries without referrers keep under tags. */
  async #copyTagsOf(digest: Digest): Promise<void> {
    for (const suffix of COSIGN_SUFFIXES) {
      const tag = parseTag(`${digest.replace(':', '-')}${suffix}`);
      if (tag === undefined) continue;
      const { source, target } = this.#promotion;
      // A tag that the promoter may not pull does not exist for them.
      if (this.#options.promoter.judge('pull', source, tag).decision === 'deny') continue;
      const manifest = await this.#find({ kind: 'tag', tag });
      if (manifest === undefined) continue;
      this.#require('push', target, tag);
      if (!this.#manifests.has(manifest.digest)) this.#referrers++;
      await this.#copy(manifest, 0);
      await this.#put({ kind: 'tag', tag }, manifest);
    }
  }

  /** Returns what the tag meant before, if it meant something else. */
  async #put(reference: Reference, { mediaType, bytes }: ReadManifest): Promise<string | undefined> {
    return this.#options.writer?.putManifest(reference, mediaType, bytes);
  }

  /** @throws PromotionDenied */
  #require(action: 'pull' | 'push', repository: Repository, tag?: Tag): Judgement & { decision: 'allow' } {
    const { promoter } = this.#options;
    const judgement = promoter.judge(action, repository, tag);
    if (judgement.decision === 'allow') return judgement;
    const what = `${repository.name}${tag === undefined ? '' : `:${tag}`}`;
    const { rule, because } = judgement;
    const why = rule === undefined ? 'no rule allows it' : `the rule ${rule} refuses it`;
    const reason = because === undefined ? '' : ` (${because})`;
    throw new PromotionDenied(`${promoter.subject} may not ${action} ${what}: ${why}${reason}`, rule);
  }

  async #fetch(reference: Reference): Promise<ReadManifest> {
    const found = await this.#find(reference);
    if (found === undefined)
      throw new SourceUnavailable('there is no such image, or this mirror’s account does not see it', 404);
    return found;
  }

  async #find(reference: Reference): Promise<ReadManifest | undefined> {
    const route = { kind: 'manifest', repository: this.#promotion.source, reference } as const;
    const answer = await this.#pull(route);
    if (answer.kind === 'refused' && answer.error === 'MANIFEST_UNKNOWN') return undefined;
    if (answer.kind === 'refused') throw unavailable(answer.error);
    if (answer.kind !== 'manifest' || answer.bytes === undefined)
      throw new Error(`the core answers with a ${answer.kind} for a manifest`);
    return { ...answer, bytes: answer.bytes };
  }

  #pull(route: RepositoryRoute): Promise<CoreAnswer> {
    return this.#options.core.pull(route, { method: 'GET', private: this.#reachesPrivate });
  }
}

function tagOf(reference: Reference): Tag | undefined {
  return reference.kind === 'tag' ? reference.tag : undefined;
}

function unavailable(error: ErrorName, before = ''): SourceUnavailable {
  const { message, status } = ERRORS[error];
  return new SourceUnavailable(`${before}${message}`, status);
}
