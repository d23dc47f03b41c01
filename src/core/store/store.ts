/**
 * What the cache holds: content by digest, and what is known of repositories. It depends on the disk, and must not know
 * why something is wanted, by whom, or where it comes from.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/log.ts';
import type { ContentStore } from './content-store.ts';
import { openFileContentStore } from './file-content-store.ts';
import type { IndexStore } from './index-store.ts';
import { INDEX_FILE, VERSION, VERSION_FILE } from './layout.ts';
import { openSqliteIndex } from './sqlite-index.ts';

export interface Store extends AsyncDisposable {
  readonly content: ContentStore;
  readonly index: IndexStore;
}

/** Opens the store under `directory`, which is made where it is missing. A second one on the same directory is refused. */
export async function openStore(directory: string, log: Logger, clock: Clock): Promise<Store> {
  await mkdir(directory, { recursive: true, mode: 0o750 });
  await checkVersion(path.join(directory, VERSION_FILE));
  // The index comes first: it is the lock, and the content store clears away what a run before left behind.
  const index = openSqliteIndex(path.join(directory, INDEX_FILE), log);
  try {
    const content = await openFileContentStore(directory, clock);
    return { content, index, [Symbol.asyncDispose]: () => index[Symbol.asyncDispose]() };
  } catch (error) {
    await index[Symbol.asyncDispose]();
    throw error;
  }
}

async function checkVersion(file: string): Promise<void> {
  const found = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (found === undefined) await writeFile(file, `${VERSION}\n`, { mode: 0o640 });
  else if (found.trim() !== VERSION) {
    throw new Error(`${file} says version ${found.trim()}, and this Hubgate knows version ${VERSION} only`);
  }
}
