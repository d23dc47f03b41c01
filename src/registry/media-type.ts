/**
 * The four image types that are mirrored. Schema 1 is not one of them: its digest does not cover the whole
 * document, so nothing that it names could be verified.
 */
export const MANIFEST_MEDIA_TYPES = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
] as const;

export type ManifestMediaType = (typeof MANIFEST_MEDIA_TYPES)[number];

/** Parses a Content-Type header. Its parameters have no meaning for a manifest. */
export function parseManifestMediaType(header: string): ManifestMediaType | undefined {
  const essence = header.split(';', 1)[0]?.trim().toLowerCase();
  return MANIFEST_MEDIA_TYPES.find((type) => type === essence);
}

/** Matches the types of layers that clients download from elsewhere, as Windows' base layers were. */
const DOWNLOADED_ELSEWHERE =
  /^application\/vnd\.(?:oci\.image\.layer\.nondistributable\.v1|docker\.image\.rootfs\.foreign\.diff)\.tar/;

/** False for the type of a layer that its registry need not have. */
export function isDistributable(mediaType = ''): boolean {
  return !DOWNLOADED_ELSEWHERE.test(mediaType);
}

/** Matches a media type (RFC 9110 §8.3.1) that is short enough for a header, a log and a message. */
const OWN_TYPE = /^application\/vnd\.[a-z0-9.+-]{1,100}$/;

/**
 * Parses the type of a manifest that registries have and this mirror does not serve: schema 1, and the
 * artifact manifests from before OCI 1.1.
 */
export function parseUnmirroredMediaType(header: string): string | undefined {
  const essence = header.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  const isManifest = OWN_TYPE.test(essence) && essence.includes('manifest');
  return isManifest && parseManifestMediaType(essence) === undefined ? essence : undefined;
}

/** Returns the message for clients that ask for such a manifest. */
export function unmirroredMessage(mediaType: string): string {
  return `manifests of type ${mediaType} are not mirrored; pull this one from the registry itself`;
}
