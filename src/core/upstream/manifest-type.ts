import { exceededBound } from '../../platform/json-bounds.ts';
import { isObject } from '../../platform/object-properties.ts';
import { type ManifestMediaType, parseManifestMediaType } from '../../registry/media-type.ts';
import { DOCUMENT_BOUNDS } from '../limits.ts';

/** The `Content-Type`s of registries and CDNs that do not say that a document is a manifest. */
const SAYS_NOTHING: ReadonlySet<string | undefined> = new Set([
  undefined,
  'application/json',
  'application/octet-stream',
  'binary/octet-stream',
  'text/plain',
]);

/**
 * Returns the type of a manifest whose `Content-Type` says nothing about it. Clients find it in the same way:
 * by its own `mediaType`, or else by its content (OCI image spec). Docker's types require the `mediaType`.
 * Returns undefined if the `Content-Type` is another one, or if the document is not a manifest of a mirrored
 * type.
 */
export function manifestTypeOf(label: string | undefined, bytes: Buffer): ManifestMediaType | undefined {
  const document = SAYS_NOTHING.has(label) ? parseManifest(bytes) : undefined;
  if (document === undefined) return undefined;
  const { mediaType, schemaVersion, manifests, layers } = document;
  if (schemaVersion !== 2) return undefined;
  if (mediaType !== undefined) return parseManifestMediaType(String(mediaType));
  if (Array.isArray(manifests)) return 'application/vnd.oci.image.index.v1+json';
  return Array.isArray(layers) ? 'application/vnd.oci.image.manifest.v1+json' : undefined;
}

function parseManifest(bytes: Buffer): Record<string, unknown> | undefined {
  if (exceededBound(bytes, DOCUMENT_BOUNDS) !== undefined) return undefined;
  try {
    const document: unknown = JSON.parse(bytes.toString('utf8'));
    return isObject(document) ? document : undefined;
  } catch {
    return undefined;
  }
}
