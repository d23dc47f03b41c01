import { type Digest, sha256Of } from '../../../src/registry/digest.ts';
import type { Random } from '../../crash/support/random.ts';
import { manifestOf, referrerOf, type TestManifest } from '../../support/image.ts';

const LAYERS = 48;
const IMAGES = 120;
const INDEXES = 30;
const SMALLEST = 1024;
const LARGEST = 512 * 1024;
const MOST_LAYERS = 4;
/** The referrers of one subject. */
const REFERRERS = 3;

const IMAGE_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json';

export interface Blob {
  readonly kind: 'blob';
  readonly digest: Digest;
  readonly bytes: Buffer;
}

export interface Manifest {
  readonly kind: 'manifest';
  readonly digest: Digest;
  readonly bytes: Buffer;
  readonly mediaType: TestManifest['mediaType'];
  /** The blobs and manifests that must be in the repository. */
  readonly children: readonly (Blob | Manifest)[];
  readonly subject?: Manifest;
}

/** All that is ever pushed. It is little, so that the same content is pushed, removed and pushed again. */
export class Contents {
  readonly images: readonly Manifest[];
  readonly indexes: readonly Manifest[];
  readonly #byDigest = new Map<string, Blob | Manifest>();
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
    const layers = Array.from({ length: LAYERS }, () =>
      this.#blob(random.bytes(random.size(SMALLEST, LARGEST))),
    );
    this.images = Array.from({ length: IMAGES }, (_, salt) => this.#image(salt, layers));
    this.indexes = Array.from({ length: INDEXES }, () => this.#index());
  }

  get(digest: string): Blob | Manifest | undefined {
    return this.#byDigest.get(digest);
  }

  manifest(digest: string): Manifest | undefined {
    const found = this.#byDigest.get(digest);
    return found?.kind === 'manifest' ? found : undefined;
  }

  all(): Iterable<Blob | Manifest> {
    return this.#byDigest.values();
  }

  /** Returns one of the few manifests that refer to `subject`. */
  referrer(subject: Manifest, random: Random): Manifest {
    const made = referrerOf(subject, `r${random.below(REFERRERS)}`);
    const known = this.manifest(made.digest);
    if (known !== undefined) return known;
    const children = [...made.blobs.values()].map((bytes) => this.#blob(bytes));
    return this.#add({ ...made, kind: 'manifest', children, subject });
  }

  #image(salt: number, pool: readonly Blob[]): Manifest {
    const config = this.#blob(Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', salt })));
    const layers = this.#random.shuffle(pool).slice(0, 1 + this.#random.below(MOST_LAYERS));
    const described = ({ digest, bytes }: Blob, type: string) => ({
      ...{ mediaType: `application/vnd.oci.image.${type}`, digest, size: bytes.length },
    });
    const document = {
      ...{ schemaVersion: 2, mediaType: IMAGE_TYPE, config: described(config, 'config.v1+json') },
      layers: layers.map((layer) => described(layer, 'layer.v1.tar')),
    };
    return this.#add({
      ...manifestOf(document, IMAGE_TYPE),
      kind: 'manifest',
      children: [config, ...layers],
    });
  }

  #index(): Manifest {
    const children = this.#random.shuffle(this.images).slice(0, 2 + this.#random.below(2));
    const manifests = children.map(({ mediaType, digest, bytes }) => ({
      mediaType,
      digest,
      size: bytes.length,
    }));
    const document = { schemaVersion: 2, mediaType: INDEX_TYPE, manifests };
    return this.#add({ ...manifestOf(document, INDEX_TYPE), kind: 'manifest', children });
  }

  #blob(bytes: Buffer): Blob {
    const digest = sha256Of(bytes);
    const known = this.#byDigest.get(digest);
    if (known?.kind === 'blob') return known;
    const blob: Blob = { kind: 'blob', digest, bytes };
    this.#byDigest.set(blob.digest, blob);
    return blob;
  }

  #add({ kind, digest, bytes, mediaType, children, subject }: Manifest): Manifest {
    const manifest: Manifest = { kind, digest, bytes, mediaType, children, ...(subject && { subject }) };
    this.#byDigest.set(digest, manifest);
    return manifest;
  }
}
