import type { Digest } from '../../../src/registry/digest.ts';
import { parseTag, type Tag } from '../../../src/registry/reference.ts';
import { DOCKER_HUB, type Repository, repositoryAt } from '../../../src/registry/repository.ts';
import { FakeHub } from '../../support/fake-hub.ts';
import { imageOf, indexOf, type TestImage } from '../../support/image.ts';
import { ACCOUNT } from '../../support/test-core.ts';
import type { Random } from './random.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/** An image and its place. */
export interface Listing {
  readonly repository: Repository;
  readonly tag: Tag;
  readonly private: boolean;
  readonly image: TestImage;
}

/** Everything that can be pulled, with the right bytes. */
export interface Catalogue {
  readonly listings: readonly Listing[];
  /** The bytes of manifests and blobs. */
  readonly contents: ReadonlyMap<Digest, Buffer>;
}

/** Makes images of random sizes, with about this many bytes together. */
export function makeCatalogue(random: Random, bytes: number): Catalogue {
  const listings: Listing[] = [];
  const contents = new Map<Digest, Buffer>();
  for (let total = 0; total < bytes; ) {
    const listing = makeListing(random, listings.length);
    listings.push(listing);
    const { manifests, blobs } = listing.image;
    for (const { digest, bytes } of manifests) contents.set(digest, bytes);
    for (const [digest, bytes] of blobs) {
      contents.set(digest, bytes);
      total += bytes.length;
    }
  }
  return { listings, contents };
}

function makeListing(random: Random, number: number): Listing {
  const repository = repositoryAt(DOCKER_HUB, `acme/image-${number}`);
  const tag = parseTag('latest');
  if (repository === undefined || tag === undefined) throw new Error('no name of an image');
  const image = random.chance(0.2) ? indexOf([makeImage(random), makeImage(random)]) : makeImage(random);
  return { repository, tag, private: number % 2 === 1, image };
}

function makeImage(random: Random): TestImage {
  const layers = Array.from({ length: 1 + random.below(4) }, () => {
    return random.bytes(random.size(KIB, 8 * MIB));
  });
  return imageOf({ layers });
}

/** Starts a Hub that has all of it, and knows the core's account. */
export async function startHub({ listings }: Catalogue): Promise<FakeHub> {
  const hub = await FakeHub.start();
  hub.remaining = 1e9;
  for (const { repository, tag, image, private: isPrivate } of listings)
    hub.push(repository.path, tag, image, { private: isPrivate });
  hub.accounts.push({ ...ACCOUNT, repositories: listings.map(({ repository }) => repository.path) });
  return hub;
}
