import { randomBytes } from 'node:crypto';
import { type Digest, sha256Of } from '../../src/registry/digest.ts';
import type { ManifestMediaType } from '../../src/registry/media-type.ts';

export interface TestManifest {
  readonly digest: Digest;
  readonly mediaType: ManifestMediaType;
  readonly bytes: Buffer;
}

/** An image as a registry stores it: documents and blobs by digest. */
export interface TestImage extends TestManifest {
  readonly manifests: readonly TestManifest[];
  readonly config: Digest;
  readonly layers: readonly Digest[];
  readonly blobs: ReadonlyMap<Digest, Buffer>;
}

const IMAGE_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json';

export function manifestOf(document: object, mediaType: ManifestMediaType): TestManifest {
  const bytes = Buffer.from(JSON.stringify(document));
  return { digest: sha256Of(bytes), mediaType, bytes };
}

/**
 * Makes an image of the given layers, or of one random layer of `size` bytes. With `isRootfs`, the layers are
 * archives that docker unpacks.
 */
export function imageOf({
  layers,
  size = 1000,
  isRootfs = false,
}: {
  layers?: readonly Buffer[];
  size?: number;
  isRootfs?: boolean;
} = {}): TestImage {
  const contents = layers ?? [randomBytes(size)];
  const config = Buffer.from(
    JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      salt: randomBytes(8).toString('hex'),
      ...(isRootfs && { rootfs: { type: 'layers', diff_ids: contents.map(sha256Of) } }),
    }),
  );
  const descriptor = (mediaType: string, bytes: Buffer) => ({
    mediaType,
    digest: sha256Of(bytes),
    size: bytes.length,
  });
  const manifest = manifestOf(
    {
      schemaVersion: 2,
      mediaType: IMAGE_TYPE,
      config: descriptor('application/vnd.oci.image.config.v1+json', config),
      layers: contents.map((bytes) => descriptor('application/vnd.oci.image.layer.v1.tar', bytes)),
    },
    IMAGE_TYPE,
  );
  return {
    ...manifest,
    manifests: [manifest],
    config: sha256Of(config),
    layers: contents.map(sha256Of),
    blobs: new Map([config, ...contents].map((bytes) => [sha256Of(bytes), bytes])),
  };
}

/**
 * Makes one index over several images, with their `platforms` (`linux/arm64`) if they are given. `attests`
 * says for a position in the index which other image it attests.
 */
export function indexOf(
  images: readonly TestImage[],
  platforms: readonly string[] = [],
  attests: Readonly<Record<number, number>> = {},
): TestImage {
  const first = images[0];
  if (first === undefined) throw new Error('an index needs an image');
  const index = manifestOf(
    {
      schemaVersion: 2,
      mediaType: INDEX_TYPE,
      manifests: images.map(({ digest, mediaType, bytes }, index) => {
        const [os, architecture, variant] = platforms[index]?.split('/') ?? [];
        const platform = os === undefined ? {} : { platform: { os, architecture, variant } };
        const annotations = attestedOf(images[attests[index] ?? -1]);
        return { mediaType, digest, size: bytes.length, ...platform, ...annotations };
      }),
    },
    INDEX_TYPE,
  );
  return {
    ...first,
    ...index,
    manifests: [index, ...images.flatMap(({ manifests }) => manifests)],
    blobs: new Map(images.flatMap(({ blobs }) => [...blobs])),
  };
}

/** Returns the annotations that BuildKit gives an attestation of an image. */
function attestedOf(image: TestImage | undefined): object {
  if (image === undefined) return {};
  return {
    annotations: {
      'vnd.docker.reference.type': 'attestation-manifest',
      'vnd.docker.reference.digest': image.digest,
    },
  };
}

/** Makes a manifest without layers that refers to another one, such as a signature. */
export function referrerOf(subject: TestManifest, name: string): TestImage {
  const config = Buffer.from('{}');
  const { digest, mediaType, bytes } = subject;
  const manifest = manifestOf(
    {
      schemaVersion: 2,
      mediaType: IMAGE_TYPE,
      artifactType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
      config: { mediaType: 'application/vnd.oci.empty.v1+json', digest: sha256Of(config), size: 2 },
      layers: [],
      subject: { mediaType, digest, size: bytes.length },
      annotations: { name },
    },
    IMAGE_TYPE,
  );
  const blobs = new Map([[sha256Of(config), config]]);
  return { ...manifest, manifests: [manifest], config: sha256Of(config), layers: [], blobs };
}

/** Makes the manifest of an attestation, as BuildKit puts it beside the images of an index. */
export function attestationOf(statement: string): TestImage {
  const layer = Buffer.from(statement);
  const image = imageOf({ layers: [layer] });
  const document = JSON.parse(image.bytes.toString());
  document.layers[0].mediaType = 'application/vnd.in-toto+json';
  const manifest = manifestOf(document, IMAGE_TYPE);
  return { ...image, ...manifest, manifests: [manifest] };
}
