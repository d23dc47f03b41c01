import { formatSize } from '../../platform/size.ts';
import { formatBar, TransferRate } from '../progress.ts';

/** The width of `1023.9 MiB of 1023.9 MiB`. */
const SIZE_WIDTH = 24;

/** An image under way. */
export interface ImageProgress {
  readonly name: string;
  /** The size of its configs and layers; undefined until its manifests are read. */
  bytes: number | undefined;
  /** The number of these bytes that have arrived. */
  here: number;
}

/** Formats what is under way as lines for a terminal. */
export class WarmProgress {
  readonly #images: number;
  readonly #underWay = new Set<ImageProgress>();
  readonly #rate = new TransferRate();
  #ended = 0;

  constructor(images: number) {
    this.#images = images;
  }

  begin(name: string): ImageProgress {
    const image = { name, bytes: undefined, here: 0 };
    this.#underWay.add(image);
    return image;
  }

  came(image: ImageProgress, bytes: number, fills: boolean): void {
    image.here += bytes;
    if (fills) this.#rate.add(bytes);
  }

  end(image: ImageProgress): void {
    this.#underWay.delete(image);
    this.#ended++;
  }

  lines(): readonly string[] {
    // A narrow terminal cuts off the end of a name.
    const images = [...this.#underWay].map(({ name, bytes, here }) => {
      const size = bytes === undefined ? '' : `${formatSize(here)} of ${formatSize(bytes)}`;
      return `${formatBar(here, bytes)}  ${size.padEnd(SIZE_WIDTH)}  ${name}`;
    });
    const all = `${this.#ended} of ${this.#images} images  ${this.#rate.write()}`;
    return [...images, `${formatBar(this.#ended, this.#images)}  ${all}`];
  }
}
