import { exceededBound } from '../../platform/json-bounds.ts';
import { type Digest, parseDigest } from '../../registry/digest.ts';
import type { ManifestMediaType } from '../../registry/media-type.ts';
import { DOCUMENT_BOUNDS } from '../limits.ts';

const INDEX_TYPES: ReadonlySet<string> = new Set<ManifestMediaType>([
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
]);

/**
 * Why these bytes must not be taken for a manifest of this type, or undefined where they may. A document that can be
 * read as an index and as an image (CVE-2021-41190) means different things to different clients under one digest.
 */
export function unfitManifest(bytes: Buffer, mediaType: ManifestMediaType): string | undefined {
  const exceeded = exceededBound(bytes, DOCUMENT_BOUNDS);
  if (exceeded === 'depth') return `nested deeper than ${DOCUMENT_BOUNDS.depth} levels`;
  if (exceeded !== undefined) return `more than ${DOCUMENT_BOUNDS[exceeded]} ${exceeded}`;
  let document: unknown;
  try {
    document = JSON.parse(bytes.toString('utf8'));
  } catch {
    return 'not JSON';
  }
  if (typeof document !== 'object' || document === null || Array.isArray(document))
    return 'not a JSON object';
  const { schemaVersion, mediaType: said, manifests, layers, config } = document as Record<string, unknown>;
  if (schemaVersion !== 2) return 'not of schema version 2';
  if (said !== undefined && said !== mediaType) return 'its mediaType is not its Content-Type';
  const isIndex = INDEX_TYPES.has(mediaType);
  const foreign = isIndex ? (layers ?? config) : manifests;
  if (foreign !== undefined) return 'an index and an image at once';
  return undefined;
}

/** The digests that a fit manifest names. */
export function childrenOf(bytes: Buffer): readonly Digest[] {
  const { manifests, layers, config } = JSON.parse(bytes.toString('utf8'));
  const descriptors: unknown[] = [manifests, layers, config].flat();
  return descriptors.flatMap((descriptor) => {
    const digest = parseDigest(String((descriptor as { digest?: unknown } | null | undefined)?.digest));
    return digest === undefined ? [] : [digest];
  });
}
