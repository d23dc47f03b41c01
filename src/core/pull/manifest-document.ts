import { type Digest, parseDigest } from '../../registry/digest.ts';
import type { ManifestMediaType } from '../../registry/media-type.ts';
import { MAX_DOCUMENT_DEPTH } from '../limits.ts';

const INDEX_TYPES: ReadonlySet<string> = new Set<ManifestMediaType>([
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
]);

/**
 * Why these bytes must not be taken for a manifest of this type, or undefined where they may. A document that can be
 * read as an index and as an image (CVE-2021-41190) means different things to different clients under one digest.
 */
export function unfitManifest(bytes: Buffer, mediaType: ManifestMediaType): string | undefined {
  const text = bytes.toString('utf8');
  if (isTooDeep(text)) return `nested deeper than ${MAX_DOCUMENT_DEPTH} levels`;
  let document: unknown;
  try {
    document = JSON.parse(text);
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

/** Judged before a parser recurses into it. Brackets inside of strings are no levels. */
function isTooDeep(text: string): boolean {
  let depth = 0;
  for (const [bracket] of text.replace(/"(?:[^"\\]|\\.)*"/g, '').matchAll(/[[\]{}]/g)) {
    depth += bracket === '[' || bracket === '{' ? 1 : -1;
    if (depth > MAX_DOCUMENT_DEPTH) return true;
  }
  return false;
}
