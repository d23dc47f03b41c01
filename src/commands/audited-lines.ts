import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { isErrno } from '../platform/reason.ts';

const CHUNK = 1024 * 1024;

/**
 * Yields the lines of the audit log as text, the oldest file first. They come from `file` and from the
 * rotated files that were written to since `since`, which is in milliseconds. A file that does not exist yet
 * has no lines.
 */
export async function* auditedLines(file: string, since = 0): AsyncGenerator<string> {
  for (const one of await auditedFiles(file, since)) yield* linesOf(one);
}

/** Returns the rotated files that were written to since `since`, the oldest one first, and `file` itself. */
export async function auditedFiles(file: string, since: number): Promise<readonly string[]> {
  return [...(await rotated(file, since)), file];
}

/**
 * Returns the rotated files, which logrotate names `audit.log.1` or `audit.log-20261122`, either with `.gz`.
 */
async function rotated(file: string, since: number): Promise<string[]> {
  const { dir, base } = path.parse(file);
  const names = await readdir(dir).catch(ignoreMissing<string[]>([]));
  const candidates = names.filter(
    (name) => name.startsWith(base) && /^[.-]\d+(?:\.gz)?$/.test(name.slice(base.length)),
  );
  const written = await Promise.all(
    candidates.map(async (name) => {
      const at = path.join(dir, name);
      return { at, mtime: await stat(at).then(({ mtimeMs }) => mtimeMs, ignoreMissing(0)) };
    }),
  );
  return written
    .filter(({ mtime }) => mtime >= since)
    .sort((one, other) => one.mtime - other.mtime)
    .map(({ at }) => at);
}

async function* linesOf(file: string): AsyncGenerator<string> {
  try {
    yield* createInterface({ input: readStream(file), crlfDelay: Number.POSITIVE_INFINITY });
  } catch (error) {
    // The file was rotated since it was listed, or does not exist yet.
    ignoreMissing(undefined)(error);
  }
}

function readStream(file: string): Readable {
  const bytes = createReadStream(file, { highWaterMark: CHUNK });
  const input = file.endsWith('.gz') ? bytes.pipe(createGunzip({ chunkSize: CHUNK })) : bytes;
  bytes.on('error', (error) => input.destroy(error));
  return input;
}

function ignoreMissing<T>(instead: T): (error: unknown) => T {
  return (error) => {
    if (isErrno(error, 'ENOENT')) return instead;
    throw error;
  };
}
