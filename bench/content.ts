/**
 * The content of pulls: images whose layers are windows into one pool of bytes, so that three hundred
 * different blobs take no more memory than one. Every process that knows a layer's size and offset can make
 * its bytes.
 */
import { createCipheriv } from 'node:crypto';
import { link, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Digest } from '../src/registry/digest.ts';
import { imageOf, type TestImage } from '../test/support/image.ts';

export const REPOSITORY = 'library/bench';
/** The repository that clients push to. Hubgate hosts it. */
export const PUSHED = 'pushed/bench';
/** Registries of the old generation return OCI manifests only if the request names the type. */
export const ACCEPT = 'application/vnd.oci.image.manifest.v1+json, */*';
export const MIB = 2 ** 20;
export const KIB = 2 ** 10;

export interface Layer {
  /** In bytes. */
  readonly size: number;
  /** The number of this layer among those of its size; less than 1,024. */
  readonly index: number;
}

export interface BenchImage {
  readonly tag: string;
  readonly image: TestImage;
  readonly layers: readonly Layer[];
}

/** An image in the form in which processes send it to each other. */
export interface ToldImage {
  readonly tag: string;
  readonly mediaType: string;
  /** Both are base64. */
  readonly manifest: string;
  readonly config: string;
  readonly layers: readonly Layer[];
}

const STEP = 4 * KIB;
const SLACK = 1024 * STEP;

export class Pool {
  #bytes = Buffer.alloc(0);

  /** Returns bytes that no file system or network can compress, and that are the same in every process. */
  of({ size, index }: Layer): Buffer {
    if (this.#bytes.length < size + SLACK) {
      const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16));
      this.#bytes = cipher.update(Buffer.alloc(size + SLACK));
    }
    const start = index * STEP;
    return this.#bytes.subarray(start, start + size);
  }
}

export function makeImage(pool: Pool, tag: string, layers: readonly Layer[]): BenchImage {
  // The largest layer comes first: the pool grows once, and windows into a smaller pool would keep it in
  // memory.
  pool.of(layers.reduce((one, other) => (other.size > one.size ? other : one)));
  return { tag, image: imageOf({ layers: layers.map((layer) => pool.of(layer)) }), layers };
}

export function tell({ tag, image, layers }: BenchImage): ToldImage {
  const config = image.blobs.get(image.config) ?? Buffer.of();
  const text = { manifest: image.bytes.toString('base64'), config: config.toString('base64') };
  return { tag, mediaType: image.mediaType, layers, ...text };
}

/**
 * Writes one file for each digest for servers of files. Registries and web servers link to it, so that all
 * share the page cache.
 */
export async function writeContent(directory: string, images: readonly BenchImage[]): Promise<void> {
  await mkdir(directory, { recursive: true });
  for (const { image } of images) {
    await writeFile(fileOf(directory, image.digest), image.bytes);
    for (const [digest, bytes] of image.blobs) await writeFile(fileOf(directory, digest), bytes);
  }
}

export function fileOf(directory: string, digest: Digest): string {
  return path.join(directory, digest.slice('sha256:'.length));
}

/** Makes a hard link, and its directory if it is missing. */
export async function linkTo(source: string, target: string): Promise<void> {
  await mkdir(path.dirname(target), { recursive: true });
  await link(source, target).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
}

/** Returns the scope of a token for what is done with a repository. */
export function scopeOf(repository: string): string {
  return `repository:${repository}:${repository === PUSHED ? 'pull,push' : 'pull'}`;
}

export function blobPath(digest: Digest): string {
  return `/v2/${REPOSITORY}/blobs/${digest}`;
}

export function manifestPath(reference: string): string {
  return `/v2/${REPOSITORY}/manifests/${reference}`;
}
