import { setTimeout as delay } from 'node:timers/promises';
import type { CoreAnswer, CoreClient } from '../../gateway/clients/core-client.ts';
import type { Digest } from '../../registry/digest.ts';
import { ERRORS } from '../../registry/error.ts';
import { parseTag, type Reference, type Tag } from '../../registry/reference.ts';
import type { Repository } from '../../registry/repository.ts';
import { readImageDocument } from '../warm/image-document.ts';
import { warmBlob } from '../warm/warm-blob.ts';
import type { HostedWriter } from './hosted-writer.ts';

export interface Promotion {
  readonly source: Repository;
  readonly reference: Reference;
  readonly tag: Tag;
}

export interface PromoteOptions {
  readonly core: CoreClient;
  /** Absent if nothing is to be written, but only said. */
  readonly writer?: HostedWriter | undefined;
}

/** What was promoted, or would be. */
export interface Promoted {
  readonly digest: Digest;
  readonly manifests: number;
  readonly blobs: number;
  /** Signatures, SBOMs and others that refer to the image; they are among the manifests. */
  readonly referrers: number;
}

/** Thrown if the source cannot be read. Its message says why. */
export class SourceUnavailable extends Error {
  override readonly name = 'SourceUnavailable';
}

type FetchedManifest = Extract<CoreAnswer, { kind: 'manifest' }> & { readonly bytes: Buffer };

/** The most levels of nested indexes, and of what refers to what refers to an image. */
const MAX_DEPTH = 4;
const MAX_REFERRER_DEPTH = 3;
/** How often a blob is asked for until it is durable, and the pause in milliseconds, times the attempts so far. */
const ATTEMPTS = 60;
const AGAIN_AFTER = 20;
/** The endings of the tags under which cosign 2 keeps what refers to an image. */
const COSIGN_SUFFIXES = ['', '.sig', '.att', '.sbom'];

/**
 * Puts an image into a hosted repository under the digest that it has: first its blobs, then its manifests from
 * the bottom up, then what refers to it, and its tag last. So nobody sees a part of it. It can be repeated.
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

  constructor(promotion: Promotion, options: PromoteOptions) {
    this.#promotion = promotion;
    this.#options = options;
  }

  async run(): Promise<Promoted> {
    const { reference, tag } = this.#promotion;
    const top = await this.#fetch(reference);
    await this.#copy(top, 0);
    await this.#copyReferrers(top.digest, 1);
    await this.#copyTagsOf(top.digest);
    await this.#put({ kind: 'tag', tag }, top);
    return {
      digest: top.digest,
      manifests: this.#manifests.size,
      blobs: this.#blobs.size,
      referrers: this.#referrers,
    };
  }

  /** Copies a manifest after all that it names. */
  async #copy(manifest: FetchedManifest, depth: number): Promise<void> {
    if (this.#manifests.has(manifest.digest)) return;
    const document = readImageDocument(manifest.bytes);
    if (document === undefined || depth > MAX_DEPTH)
      throw new SourceUnavailable(`${manifest.digest} cannot be read`);
    for (const { digest } of document.manifests)
      await this.#copy(await this.#fetch({ kind: 'digest', digest }), depth + 1);
    for (const { digest } of document.blobs) await this.#copyBlob(digest);
    await this.#put({ kind: 'digest', digest: manifest.digest }, manifest);
    this.#manifests.add(manifest.digest);
  }

  /** Makes the core fetch a blob that is not cached, and takes it from there. */
  async #copyBlob(digest: Digest): Promise<void> {
    const { core, writer } = this.#options;
    if (this.#blobs.has(digest)) return;
    this.#blobs.add(digest);
    if (writer === undefined) return;
    const { source: repository } = this.#promotion;
    // The core makes a blob durable after its last byte, and only then can it be mounted.
    for (let isNew = true, attempt = 1; isNew && attempt <= ATTEMPTS; attempt++) {
      if (attempt > 1) await delay(attempt * AGAIN_AFTER);
      const blob = await warmBlob({ core, repository, digest, private: true, came: () => {} });
      if (blob.kind === 'refused') throw new SourceUnavailable(`${digest}: ${ERRORS[blob.error].message}`);
      if (blob.kind === 'unwritable')
        throw new SourceUnavailable('the cache cannot be written; the log of the core says why');
      isNew = blob.filled;
    }
    await writer.mount(repository, digest);
  }

  /** Copies what refers to a manifest, and what refers to that. */
  async #copyReferrers(digest: Digest, depth: number): Promise<void> {
    const { source: repository } = this.#promotion;
    const route = { kind: 'referrers', repository, digest } as const;
    const answer = await this.#options.core.pull(route, { method: 'GET', private: true });
    if (answer.kind === 'refused' && answer.error === 'MANIFEST_UNKNOWN') return;
    if (answer.kind === 'refused') throw new SourceUnavailable(ERRORS[answer.error].message);
    if (answer.kind !== 'document')
      throw new Error(`the core answers with a ${answer.kind} for a list of referrers`);
    for (const referrer of readImageDocument(answer.bytes)?.manifests ?? []) {
      if (this.#manifests.has(referrer.digest)) continue;
      await this.#copy(await this.#fetch({ kind: 'digest', digest: referrer.digest }), 0);
      this.#referrers++;
      if (depth < MAX_REFERRER_DEPTH) await this.#copyReferrers(referrer.digest, depth + 1);
    }
  }

  /** Copies what cosign 2 and clients of registries without referrers keep under tags. */
  async #copyTagsOf(digest: Digest): Promise<void> {
    for (const suffix of COSIGN_SUFFIXES) {
      const tag = parseTag(`${digest.replace(':', '-')}${suffix}`);
      if (tag === undefined) continue;
      const manifest = await this.#find({ kind: 'tag', tag });
      if (manifest === undefined) continue;
      if (!this.#manifests.has(manifest.digest)) this.#referrers++;
      await this.#copy(manifest, 0);
      await this.#put({ kind: 'tag', tag }, manifest);
    }
  }

  async #put(reference: Reference, { mediaType, bytes }: FetchedManifest): Promise<void> {
    await this.#options.writer?.putManifest(reference, mediaType, bytes);
  }

  async #fetch(reference: Reference): Promise<FetchedManifest> {
    const found = await this.#find(reference);
    if (found === undefined)
      throw new SourceUnavailable('there is no such image, or this mirror’s account does not see it');
    return found;
  }

  async #find(reference: Reference): Promise<FetchedManifest | undefined> {
    const route = { kind: 'manifest', repository: this.#promotion.source, reference } as const;
    const answer = await this.#options.core.pull(route, { method: 'GET', private: true });
    if (answer.kind === 'refused' && answer.error === 'MANIFEST_UNKNOWN') return undefined;
    if (answer.kind === 'refused') throw new SourceUnavailable(ERRORS[answer.error].message);
    if (answer.kind !== 'manifest' || answer.bytes === undefined)
      throw new Error(`the core answers with a ${answer.kind} for a manifest`);
    return { ...answer, bytes: answer.bytes };
  }
}
