import { fileLayer } from '../../e2e/support/oci-layout.ts';
import type { FakeHub } from '../../support/fake-hub.ts';
import { attestationOf, imageOf, manifestOf, type TestImage } from '../../support/image.ts';

const INDEX = 'application/vnd.oci.image.index.v1+json';

/** Makes an image of two layers that docker can unpack. */
export async function smallImage(name: string): Promise<TestImage> {
  const layers = await Promise.all(['first', 'second'].map((file) => fileLayer(file, name)));
  return imageOf({ layers, isRootfs: true });
}

/** An image with the manifest of its attestation, for whose referrers docker 29.1 and later asks. */
export interface AttestedImage extends TestImage {
  readonly attestation: TestImage;
}

/** Makes an index with an image and its attestation, as BuildKit writes it by default. */
export async function attestedImage(name: string): Promise<AttestedImage> {
  const image = await smallImage(name);
  const attestation = attestationOf(JSON.stringify({ _type: 'https://in-toto.io/Statement/v1', name }));
  const described = ({ digest, mediaType, bytes }: TestImage) => ({ mediaType, digest, size: bytes.length });
  const index = manifestOf(
    {
      schemaVersion: 2,
      mediaType: INDEX,
      manifests: [
        { ...described(image), platform: { os: 'linux', architecture: 'amd64' } },
        {
          ...described(attestation),
          platform: { os: 'unknown', architecture: 'unknown' },
          annotations: {
            'vnd.docker.reference.type': 'attestation-manifest',
            'vnd.docker.reference.digest': image.digest,
          },
        },
      ],
    },
    INDEX,
  );
  return {
    ...image,
    ...index,
    attestation,
    manifests: [index, ...image.manifests, ...attestation.manifests],
    blobs: new Map([...image.blobs, ...attestation.blobs]),
  };
}

/** Puts a referrer into a repository, without a tag. */
export function pushReferrer(hub: FakeHub, repository: string, referrer: TestImage): void {
  hub.push(repository, 'referrer', referrer);
  hub.removeTag(repository, 'referrer');
}

/** Makes the index that clients keep under the tag `sha256-<hex>` if a registry lists no referrers. */
export function indexOfReferrers(referrers: readonly TestImage[]): TestImage {
  const index = manifestOf(
    {
      schemaVersion: 2,
      mediaType: INDEX,
      manifests: referrers.map(({ digest, mediaType, bytes }) => {
        const { artifactType, annotations } = JSON.parse(bytes.toString());
        return { mediaType, digest, size: bytes.length, artifactType, annotations };
      }),
    },
    INDEX,
  );
  return { ...imageOf(), ...index, manifests: [index] };
}
