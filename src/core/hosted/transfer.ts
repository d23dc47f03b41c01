/**
 * Copies hosted repositories from one database to another one, while pushes go on. What the target has stays
 * as it is there, so a copy that broke off can be repeated.
 */
import pLimit from 'p-limit';
import type { Clock } from '../../platform/clock.ts';
import type { Digest } from '../../registry/digest.ts';
import type { Tag } from '../../registry/reference.ts';
import type { StoredUpload } from './hosted-content.ts';
import type { HostedDatabase } from './hosted-database.ts';
import type { HostedRepository } from './hosted-statements.ts';
import { orRefusal } from './refusal.ts';
import {
  hasBlob,
  hasManifest,
  putManifest,
  readHostedManifest,
  type TransferredBlob,
  type TransferredManifest,
} from './transfer-manifest.ts';
import { continueTag, readTag } from './transfer-tag.ts';

/** Thrown if the bytes of blobs cannot be read or kept now. What was copied stays. */
export class TransferStopped extends Error {
  override readonly name = 'TransferStopped';
}

export interface TransferOptions {
  readonly from: HostedDatabase;
  readonly to: HostedDatabase;
  /**
   * Copies the bytes of a blob, and compares them with the digest. It sends nothing that the target has.
   * Resolves to the reason if the source is damaged.
   * @throws TransferStopped
   */
  readonly copyBlob: (digest: Digest, size: number) => Promise<StoredUpload | string>;
  readonly clock: Clock;
}

/** The numbers of what is new in the target, and what could not be copied. */
export interface TransferredHosted {
  readonly manifests: number;
  readonly blobs: number;
  readonly tags: number;
  readonly left: readonly LeftHosted[];
}

interface LeftHosted {
  /** The path of the repository. */
  readonly repository: string;
  /** A tag, or the digest of a manifest. */
  readonly reference: string;
  readonly why: string;
}

const BATCH = 100;
/** The blobs of one manifest that are copied at the same time. Each takes up to 32 MiB of memory. */
const BLOBS_AT_ONCE = 4;

/**
 * Copies of each repository the manifests, in the order of their pushes and each with its blobs, and then the
 * tags with their histories.
 * @throws TransferStopped, HostedUnavailable
 */
export async function transferHosted(options: TransferOptions): Promise<TransferredHosted> {
  const transfer = new HostedTransfer(options);
  for (let after = ''; ; ) {
    const batch = await options.from.read((select) => select.repositories.all(after, BATCH));
    for (const { path } of batch) await transfer.copyRepository(path);
    const last = batch.at(-1);
    if (last === undefined) return transfer.done;
    after = last.path;
  }
}

class HostedTransfer {
  readonly done = { manifests: 0, blobs: 0, tags: 0, left: [] as LeftHosted[] };
  readonly #options: TransferOptions;
  readonly #limit = pLimit(BLOBS_AT_ONCE);

  constructor(options: TransferOptions) {
    this.#options = options;
  }

  async copyRepository(path: string): Promise<void> {
    const { from } = this.#options;
    const id = (await from.read((select) => select.repository.get(path)))?.id;
    if (id === undefined) return;
    for (let after = 0; ; ) {
      const batch = await from.read((select) => select.manifestsOf.all(id, after, BATCH));
      for (const { digest } of batch) await this.#copyManifest({ id, path }, digest);
      const last = batch.at(-1);
      if (last === undefined) break;
      after = last.id;
    }
    for (let after = ''; ; ) {
      const batch = await from.read((select) => select.everyTag.all(id, after, BATCH));
      for (const { name } of batch) await this.#copyTag({ id, path }, name);
      const last = batch.at(-1);
      if (last === undefined) return;
      after = last.name;
    }
  }

  /** Resolves to true if the target has the manifest. */
  async #copyManifest(repository: HostedRepository, digest: Digest): Promise<boolean> {
    const { from, to } = this.#options;
    if (await to.read((select) => hasManifest(select, repository.path, digest))) return true;
    const manifest = await from.read((select) => readHostedManifest(select, repository.id, digest));
    if (manifest === undefined) return false;
    for (const child of manifest.manifests)
      if (!(await this.#copyManifest(repository, child)))
        return this.#leave(repository, digest, `${child}, which it names, is not there`);
    const stored = new Map<Digest, StoredUpload>();
    const copies = manifest.blobs.map((blob) => this.#limit(() => this.#copyBlob(repository, blob, stored)));
    const damage = (await Promise.all(copies)).find((why) => why !== undefined);
    const why = damage ?? (await this.#put(repository, manifest, stored));
    for (const one of stored.values()) await one.settle(why === undefined ? 'committed' : 'refused');
    if (why !== undefined) return this.#leave(repository, digest, why);
    this.done.manifests++;
    this.done.blobs += stored.size;
    return true;
  }

  /** Resolves to what is wrong with the blob. One that the repository has already is not copied. */
  async #copyBlob(
    { path }: HostedRepository,
    { digest, size }: TransferredBlob,
    stored: Map<Digest, StoredUpload>,
  ): Promise<string | undefined> {
    const { to, copyBlob } = this.#options;
    if (await to.read((select) => hasBlob(select, path, digest))) return undefined;
    const copied = await copyBlob(digest, size);
    if (typeof copied === 'string') return `the blob ${digest} is damaged: ${copied}`;
    stored.set(digest, copied);
    return undefined;
  }

  /** Resolves to why the manifest could not be put. */
  async #put(
    { path }: HostedRepository,
    manifest: TransferredManifest,
    stored: ReadonlyMap<Digest, StoredUpload>,
  ): Promise<string | undefined> {
    const { to, clock } = this.#options;
    const refusal = await orRefusal(
      to.change((statements) => putManifest(statements, path, manifest, stored, clock())),
    );
    return refusal ? (refusal.message ?? refusal.error) : undefined;
  }

  async #copyTag(repository: HostedRepository, name: Tag): Promise<void> {
    const { from, to } = this.#options;
    const source = await from.read((select) => readTag(select, repository.id, name));
    // A tag may have moved to a manifest that came after the others were read.
    if (source.tag !== undefined && !(await this.#copyManifest(repository, source.tag.digest)))
      return void this.#leave(repository, name, `its manifest ${source.tag.digest} is not there`);
    const outcome = await to.change((statements) => continueTag(statements, repository.path, name, source));
    if (outcome === 'set') this.done.tags++;
    else if (outcome !== 'known') this.#leave(repository, name, outcome.why);
  }

  #leave({ path }: HostedRepository, reference: string, why: string): false {
    const { left } = this.done;
    if (!left.some((one) => one.repository === path && one.reference === reference))
      left.push({ repository: path, reference, why });
    return false;
  }
}
