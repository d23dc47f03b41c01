/**
 * The four image types that are mirrored. Schema 1 is not among them: its digest does not cover the whole document,
 * so nothing that it names could be verified.
 */
export const MANIFEST_MEDIA_TYPES = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
] as const;

export type ManifestMediaType = (typeof MANIFEST_MEDIA_TYPES)[number];

/** Reads a Content-Type header; its parameters carry nothing for a manifest. */
export function parseManifestMediaType(header: string): ManifestMediaType | undefined {
  const essence = header.split(';', 1)[0]?.trim().toLowerCase();
  return MANIFEST_MEDIA_TYPES.find((type) => type === essence);
}
