import { readFile, stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import type { Fault, Parsed } from '../../platform/fault.ts';
import { reasonOf } from '../../platform/reason.ts';
import { parseImage } from '../../registry/image.ts';
import { formatReference, LATEST_TAG, type Reference } from '../../registry/reference.ts';
import type { Repository } from '../../registry/repository.ts';

/** An image to fetch. */
export interface WantedImage {
  readonly repository: Repository;
  readonly reference: Reference;
  /** The full name: `docker.io/library/alpine:3`. */
  readonly name: string;
}

export interface ListOptions {
  /** The hosts of the mirrored registries. */
  readonly upstreams: ReadonlySet<string>;
  /** The mirror's own host, which people write before an image. */
  readonly self: string;
  readonly stdin: Readable;
}

/** The place where a name was written. */
type ListPlace = Omit<Fault, 'message'>;
type Written = ListPlace & { readonly name: string };

/**
 * Returns the images that `args` name. An argument is an image, or a file with one image on each line; `-` is
 * the standard input. Each image is in the list once, in the order in which it first comes.
 */
export async function readImageList(
  args: readonly string[],
  options: ListOptions,
): Promise<Parsed<readonly WantedImage[]>> {
  const written: Written[] = [];
  const faults: Fault[] = [];
  for (const [index, arg] of args.entries()) {
    const read = await readArgument(arg, { source: `argument ${index + 1}` }, options);
    if ('message' in read) faults.push(read);
    else written.push(...read.written);
  }
  const images = new Map<string, WantedImage>();
  for (const { name, ...place } of written) {
    const image = parseWantedImage(name, options);
    if (typeof image === 'string') faults.push({ ...place, message: image });
    else images.set(image.name, image);
  }
  return faults.length > 0 ? { faults } : { value: [...images.values()] };
}

async function readArgument(
  arg: string,
  place: ListPlace,
  { stdin }: ListOptions,
): Promise<{ readonly written: readonly Written[] } | Fault> {
  if (arg === '-') return { written: linesOf('standard input', await text(stdin)) };
  if (!(await isFile(arg))) return { written: [{ ...place, name: arg }] };
  try {
    return { written: linesOf(arg, await readFile(arg, 'utf8')) };
  } catch (error) {
    return { source: arg, message: `cannot be read: ${reasonOf(error)}` };
  }
}

/**
 * True if the argument is a file. An image may have the name of a directory here, so a directory does not
 * count; a pipe that a shell opened does.
 */
async function isFile(arg: string): Promise<boolean> {
  if (arg.endsWith('.txt')) return true;
  return stat(arg).then(
    (found) => !found.isDirectory(),
    () => false,
  );
}

/** Returns the lines without comments. `#` begins a comment, because no name contains it. */
function linesOf(source: string, content: string): readonly Written[] {
  return content
    .replace(/^\uFEFF/, '')
    .split('\n')
    .map((line, index) => ({ source, line: index + 1, name: line.replace(/#.*/, '').trim() }))
    .filter(({ name }) => name !== '');
}

/** Returns the image, or what is wrong with its name. */
function parseWantedImage(written: string, { upstreams, self }: ListOptions): WantedImage | string {
  const name = written.startsWith(`${self}/`) ? written.slice(self.length + 1) : written;
  const image = parseImage(name);
  if (image === undefined)
    return `"${written}" is no image: REPOSITORY, REPOSITORY:TAG or REPOSITORY@DIGEST, all in lower case but the tag`;
  const { repository, digest } = image;
  if (!upstreams.has(repository.upstream))
    return `"${written}": ${repository.upstream} is none of the upstreams of this mirror: ${[...upstreams].join(', ')}`;
  return wanted(
    repository,
    digest === undefined ? { kind: 'tag', tag: image.tag ?? LATEST_TAG } : { kind: 'digest', digest },
  );
}

function wanted(repository: Repository, reference: Reference): WantedImage {
  const separator = reference.kind === 'tag' ? ':' : '@';
  return { repository, reference, name: `${repository.name}${separator}${formatReference(reference)}` };
}
