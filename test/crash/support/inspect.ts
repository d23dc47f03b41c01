import { open, readdir } from 'node:fs/promises';
import path from 'node:path';
import { type Digest, parseDigest } from '../../../src/registry/digest.ts';

const BUFFER = 1024 * 1024;

export interface Inspection {
  readonly right: ReadonlySet<Digest>;
  /** The paths of files whose content does not have their name's digest. */
  readonly corrupt: readonly string[];
  readonly bytes: number;
}

/**
 * Compares everything that is published in the cache in `directory` with the right bytes. Nobody writes to
 * the cache meanwhile.
 */
export async function inspect(directory: string, contents: ReadonlyMap<Digest, Buffer>): Promise<Inspection> {
  const right = new Set<Digest>();
  const corrupt: string[] = [];
  const buffer = Buffer.allocUnsafe(BUFFER);
  let bytes = 0;
  for (const file of await filesBelow(path.join(directory, 'blobs'))) {
    const digest = digestAt(path.relative(directory, file));
    const expected = digest === undefined ? undefined : contents.get(digest);
    if (digest !== undefined && expected !== undefined && (await holds(file, expected, buffer))) {
      right.add(digest);
      bytes += expected.length;
    } else corrupt.push(path.relative(directory, file));
  }
  return { right, corrupt, bytes };
}

export async function filesBelow(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch(
    (error: NodeJS.ErrnoException) => {
      // The core was killed while it made its directories.
      if (error.code !== 'ENOENT') throw error;
      return [];
    },
  );
  return entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
}

function digestAt(file: string): Digest | undefined {
  const [, algorithm, first, hex = ''] = /^blobs\/(\w+)\/(\w\w)\/(\w+)$/.exec(file) ?? [];
  return hex.slice(0, 2) === first ? parseDigest(`${algorithm}:${hex}`) : undefined;
}

async function holds(file: string, expected: Buffer, buffer: Buffer): Promise<boolean> {
  await using handle = await open(file);
  if ((await handle.stat()).size !== expected.length) return false;
  for (let position = 0; position < expected.length; ) {
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, position);
    if (bytesRead === 0) return false;
    const same = expected.subarray(position, position + bytesRead).equals(buffer.subarray(0, bytesRead));
    if (!same) return false;
    position += bytesRead;
  }
  return true;
}
