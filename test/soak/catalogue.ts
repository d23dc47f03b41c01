import type { Digest } from '../../src/registry/digest.ts';
import type { Random } from '../crash/support/random.ts';
import type { FakeHub } from '../support/fake-hub.ts';
import { imageOf, type TestImage } from '../support/image.ts';
import { Timeline } from './timeline.ts';

const REPOSITORIES = 12;
const SMALLEST = 10 * 1024;
const LARGEST = 4 * 1024 * 1024;
const LAYERS = 3;

export interface SoakRepository {
  readonly path: string;
  readonly private: boolean;
  /** The images by digest, those of earlier tags included. */
  readonly images: Map<Digest, TestImage>;
  /** The digest of the tag `latest`. */
  readonly latest: Timeline<Digest>;
}

/** Public and private repositories at the stand-in Hub, whose tags move. */
export class Catalogue {
  readonly repositories: readonly SoakRepository[];
  readonly #hub: FakeHub;
  readonly #random: Random;

  constructor(hub: FakeHub, random: Random) {
    this.#hub = hub;
    this.#random = random;
    const paths = (prefix: string) => Array.from({ length: REPOSITORIES }, (_, index) => `${prefix}${index}`);
    this.repositories = [...paths('library/r'), ...paths('acme/p')].map((path) => {
      const image = this.#newImage();
      const isPrivate = path.startsWith('acme/');
      hub.push(path, 'latest', image, { private: isPrivate });
      return {
        path,
        private: isPrivate,
        images: new Map([[image.digest, image]]),
        latest: new Timeline(image.digest),
      };
    });
  }

  /** Moves the tag `latest` of one repository to a new image. */
  moveTag(tagFreshness: number): void {
    const repository = this.#random.pick(this.repositories);
    const image = this.#newImage();
    repository.images.set(image.digest, image);
    repository.latest.begin(image.digest);
    this.#hub.push(repository.path, 'latest', image, { private: repository.private });
    repository.latest.complete(tagFreshness);
  }

  #newImage(): TestImage {
    const layer = () => this.#random.bytes(this.#random.size(SMALLEST, LARGEST));
    return imageOf({ layers: Array.from({ length: LAYERS }, layer) });
  }
}
