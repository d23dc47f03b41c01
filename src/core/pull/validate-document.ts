import { setImmediate as turn } from 'node:timers/promises';
import { exceededBound } from '../../platform/json-bounds.ts';
import { isObject, propertyOf } from '../../platform/object-properties.ts';
import { type Digest, parseDigest } from '../../registry/digest.ts';
import type { ManifestMediaType } from '../../registry/media-type.ts';
import { DOCUMENT_BOUNDS } from '../limits.ts';

const INDEX_TYPES: ReadonlySet<string> = new Set<ManifestMediaType>([
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
]);

type JsonDocument = Readonly<Record<string, unknown>>;

const INDEX_TYPE: ManifestMediaType = 'application/vnd.oci.image.index.v1+json';

/**
 * Returns why these bytes are not a valid manifest of this type, or undefined if they are. A document that
 * can be read both as an index and as an image (CVE-2021-41190) means different things to different clients
 * under one digest.
 */
export function whyInvalidManifest(bytes: Buffer, mediaType: ManifestMediaType): string | undefined {
  const document = parseManifest(bytes, mediaType);
  return typeof document === 'string' ? document : undefined;
}

/** Returns the document of a valid manifest of this type, or why these bytes are none. */
export function parseManifest(bytes: Buffer, mediaType: ManifestMediaType): JsonDocument | string {
  const document = parseDocument(bytes);
  if (typeof document === 'string') return document;
  const { schemaVersion, mediaType: said, manifests, layers, config } = document;
  if (schemaVersion !== 2) return 'not of schema version 2';
  if (said !== undefined && said !== mediaType) return 'of another mediaType than its Content-Type';
  const isIndex = INDEX_TYPES.has(mediaType);
  const foreign = isIndex ? (layers ?? config) : manifests;
  if (foreign !== undefined) return 'an index and an image at once';
  const isReadable = digestsIn(document).every(
    (digest) => digest === undefined || typeof digest === 'string',
  );
  return isReadable ? document : 'not one whose digests are all text';
}

/** Returns why these bytes are not a valid list of referrers, or undefined if they are. */
export function whyInvalidReferrers(bytes: Buffer): string | undefined {
  return whyInvalidManifest(bytes, INDEX_TYPE);
}

/**
 * Returns why these bytes are not a valid list of tags, or undefined if they are. A list without tags can be
 * null.
 */
export function whyInvalidTags(bytes: Buffer): string | undefined {
  const document = parseDocument(bytes);
  if (typeof document === 'string') return document;
  const { name, tags } = document;
  if (name !== undefined && typeof name !== 'string') return 'a list of tags of something without a name';
  const isList = tags === null || (Array.isArray(tags) && tags.every((tag) => typeof tag === 'string'));
  return isList ? undefined : 'not a list of tags';
}

/** Returns the JSON object, or why there is none. */
function parseDocument(bytes: Buffer): JsonDocument | string {
  const exceeded = exceededBound(bytes, DOCUMENT_BOUNDS);
  if (exceeded === 'depth') return `nested deeper than ${DOCUMENT_BOUNDS.depth} levels`;
  if (exceeded !== undefined) return `more than ${DOCUMENT_BOUNDS[exceeded]} ${exceeded}`;
  let document: unknown;
  try {
    document = JSON.parse(bytes.toString('utf8'));
  } catch {
    return 'not JSON';
  }
  if (!isObject(document) || Array.isArray(document)) return 'not a JSON object';
  return document;
}

/** True if this valid manifest is an attestation, which BuildKit puts beside the images of an index. */
export function isAttestation(bytes: Buffer): boolean {
  const { layers } = JSON.parse(bytes.toString('utf8'));
  return Array.isArray(layers) && layers.length > 0 && layers.every((layer) => isStatement(layer));
}

function isStatement(layer: unknown): boolean {
  return propertyOf(layer, 'mediaType') === 'application/vnd.in-toto+json';
}

/**
 * Merges several valid indexes into one. A single index stays as it is. Each page may be as costly to parse
 * as a document from outside may be, so each has a turn of the event loop of its own.
 */
export async function joinIndexes(pages: readonly Buffer[]): Promise<Buffer> {
  const [first] = pages;
  if (first !== undefined && pages.length === 1) return first;
  const descriptors: string[] = [];
  for (const page of pages) {
    const list = descriptorsIn(page);
    if (list !== '') descriptors.push(list);
    await turn();
  }
  return Buffer.from(
    `{"schemaVersion":2,"mediaType":"${INDEX_TYPE}","manifests":[${descriptors.join(',')}]}`,
  );
}

/** Returns the descriptors of a valid index as JSON, without the brackets around them. */
export function descriptorsIn(index: Buffer): string {
  const { manifests } = JSON.parse(index.toString('utf8'));
  return JSON.stringify([manifests ?? []].flat()).slice(1, -1);
}

/** Returns the digests that a valid manifest names. */
export function childrenOf(bytes: Buffer): readonly Digest[] {
  return digestsIn(JSON.parse(bytes.toString('utf8'))).flatMap((text) => {
    const digest = typeof text === 'string' ? parseDigest(text) : undefined;
    return digest === undefined ? [] : [digest];
  });
}

function digestsIn({ manifests, layers, config }: JsonDocument): readonly unknown[] {
  const descriptors: unknown[] = [manifests, layers, config].flat();
  return descriptors.map((descriptor) => propertyOf(descriptor, 'digest'));
}
