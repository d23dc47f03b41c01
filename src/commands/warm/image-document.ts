import { z } from 'zod';
import { type Digest, parseDigest } from '../../registry/digest.ts';
import { isDistributable } from '../../registry/media-type.ts';
import { PLATFORM } from './platform.ts';

const DESCRIPTOR = z.object({
  digest: z.custom<Digest>((text) => typeof text === 'string' && parseDigest(text) !== undefined),
  size: z.int().nonnegative(),
  mediaType: z.string().optional(),
  platform: PLATFORM.optional(),
  artifactType: z.string().optional(),
  annotations: z.record(z.string(), z.string()).optional(),
});
export type Descriptor = Readonly<z.output<typeof DESCRIPTOR>>;

/** An index has `manifests`; an image has `config` and `layers`. */
const DOCUMENT = z.object({
  manifests: z.array(DESCRIPTOR).default([]),
  config: DESCRIPTOR.optional(),
  layers: z.array(DESCRIPTOR).default([]),
});

export interface ImageDocument {
  /** The manifests of an index. */
  readonly manifests: readonly Descriptor[];
  /** The config and layers of an image, except those that registries need not have. */
  readonly blobs: readonly Descriptor[];
  /** The layers that registries need not have. */
  readonly layersElsewhere: readonly Descriptor[];
}

/**
 * Returns the image for which BuildKit has put an attestation into the same index; undefined for any other
 * manifest.
 */
export function attestedBy({ annotations = {} }: Descriptor): string | undefined {
  return annotations['vnd.docker.reference.type'] === 'attestation-manifest'
    ? annotations['vnd.docker.reference.digest']
    : undefined;
}

/** True for a signature as cosign 3 makes it, which docker fetches with an attestation. */
export function isSignature({ artifactType = '' }: Descriptor): boolean {
  return artifactType.startsWith('application/vnd.dev.sigstore.bundle.');
}

/** Returns the content that a manifest names; undefined if the manifest cannot be read. */
export function parseImageDocument(bytes: Buffer): ImageDocument | undefined {
  const read = DOCUMENT.safeParse(JSON.parse(bytes.toString('utf8')));
  if (!read.success) return undefined;
  const { manifests, config, layers } = read.data;
  const { here = [], elsewhere = [] } = Object.groupBy(layers, ({ mediaType }) =>
    isDistributable(mediaType) ? 'here' : 'elsewhere',
  );
  return { manifests, blobs: [config ?? [], here].flat(), layersElsewhere: elsewhere };
}
