import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { createGunzip } from 'node:zlib';

/**
 * The lines of the audit log, as text, the oldest file first: those of `file` and of what was rotated from it and has been
 * written to since `since`, in milliseconds. A file that is not there yet holds none.
 */
export async function* auditedLines(file: string, since = 0): AsyncGenerator<string> {
  for (const one of await rotated(file, since)) yield* linesOf(one);
  yield* linesOf(file);
}

/** As logrotate names them: `audit.log.1`, `audit.log-20261122`, either with `.gz`. */
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
  const bytes = createReadStream(file);
  const input = file.endsWith('.gz') ? bytes.pipe(createGunzip()) : bytes;
  bytes.on('error', (error) => input.destroy(error));
  try {
    yield* createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
  } catch (error) {
    // Moved on since it was seen, or not there yet.
    ignoreMissing(undefined)(error as NodeJS.ErrnoException);
  }
}

function ignoreMissing<T>(instead: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code === 'ENOENT') return instead;
    throw error;
  };
}
