/**
 * The content of the cache by digest, and the knowledge about repositories. This module depends on the disk,
 * and must not know why or by whom something is wanted, or where it comes from.
 */
import { readFile, unlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { writeFileAtomically } from '../../platform/atomic-file.ts';
import type { Clock } from '../../platform/clock.ts';
import { diskFailure } from '../../platform/disk-failure.ts';
import type { Logger } from '../../platform/log.ts';
import { makeDirectory } from '../../platform/make-directory.ts';
import { isErrno } from '../../platform/reason.ts';
import { runInBackground, runPeriodically } from '../../platform/scheduling/periodic-task.ts';
import { FileContentStore } from './file-content-store.ts';
import type { IndexStore } from './index-store.ts';
import { BUDGET_FILE, CACHE_VERSION, INDEX_FILE, RUNNING_FILE, VERSION_FILE } from './layout.ts';
import type { PendingUploads } from './pending-uploads.ts';
import { RecordedContent, type SharedContent } from './recorded-content.ts';
import { openSqliteIndex } from './sqlite-index.ts';

export interface Store extends AsyncDisposable {
  readonly content: RecordedContent;
  readonly index: IndexStore;
  /** The path of the counts of pulls, which are no content and are kept beside it. */
  readonly budgetFile: string;
  /** The content that the object store of the cluster lacks; absent if there is no such store. */
  readonly uploads?: PendingUploads | undefined;
  /** True if the earlier run did not end properly, for example because of a power cut. */
  readonly wasUnclean: boolean;
  /** The reason why the cache could not be written when it was opened; undefined if it could. */
  readonly failure: Error | undefined;
  /** Creates the missing parts of the cache and writes a test file. Rejects if that fails. */
  probe(): Promise<void>;
}

/** The part of the store that the nodes of a cluster share. */
export interface SharedStore {
  share(local: IndexStore): IndexStore;
  readonly manifests: SharedContent;
  /** Opens the record of what the object store lacks; absent if there is no such store. */
  readonly openUploads?: ((directory: string) => Promise<PendingUploads>) | undefined;
}

const FLUSH_EVERY = 10_000;
const CLEAR_EVERY = 60 * 60_000;

/**
 * Opens the store under `directory`, and creates the directory if it is missing. A second store on the same
 * directory is refused. If the disk cannot be written, the existing content can still be read, and `probe`
 * creates the rest when the disk can be written again.
 */
export async function openStore(
  directory: string,
  log: Logger,
  clock: Clock,
  cluster?: SharedStore,
): Promise<Store> {
  const files = new FileContentStore(directory, clock);
  const make = async () => {
    await makeDirectory(directory, 0o750);
    await checkVersion(path.join(directory, VERSION_FILE));
    await files.makeDirectories();
  };
  const unmade = await unlessUnwritable(directory, make);
  await using stack = new AsyncDisposableStack();
  // The index is opened before anything that another core may write, because the index is the lock.
  const local = openSqliteIndex(path.join(directory, INDEX_FILE), log);
  const index = stack.use(cluster?.share(local) ?? local);
  const uncleared = await unlessUnwritable(directory, () => files.clearPartials());
  const uploads = await cluster?.openUploads?.(directory);
  const content = new RecordedContent(files, index, clock, log, { manifests: cluster?.manifests, uploads });
  const wasUnclean = await markRunning(path.join(directory, RUNNING_FILE));
  stack.defer(() => unlink(path.join(directory, RUNNING_FILE)).catch(() => {}));
  stack.defer(() => content.flushUses());
  stack.use(runPeriodically(FLUSH_EVERY, async () => void (await content.flushUses()), log));
  stack.use(runPeriodically(CLEAR_EVERY, async () => void (await content.clearPartials()), log));
  if (index.isNew || wasUnclean) stack.use(runInBackground((signal) => content.relearn(signal), log));
  const opened = stack.move();
  return {
    content,
    index,
    uploads,
    budgetFile: path.join(directory, BUDGET_FILE),
    wasUnclean,
    failure: unmade ?? index.failure ?? uncleared,
    async probe() {
      await make();
      await content.probe();
      await index.probe();
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** Returns why `task` could not write to the cache; undefined if it could. */
async function unlessUnwritable(directory: string, task: () => Promise<void>): Promise<Error | undefined> {
  try {
    await task();
    return undefined;
  } catch (cause) {
    const reason = diskFailure(path.join(directory, INDEX_FILE), cause);
    if (reason === undefined) throw cause;
    return new Error(`${directory} (cache.directory) cannot be written: ${reason}`, { cause });
  }
}

/** Resolves to true if the cache was marked already. */
async function markRunning(file: string): Promise<boolean> {
  try {
    await writeFile(file, '', { flag: 'wx', mode: 0o640 });
    return false;
  } catch (error) {
    // The core can start on a full disk.
    return isErrno(error, 'EEXIST');
  }
}

async function checkVersion(file: string): Promise<void> {
  const found = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (found === undefined) await writeFileAtomically(file, `${CACHE_VERSION}\n`, 0o640);
  else if (found.trim() !== CACHE_VERSION) {
    throw new Error(
      `${file} says version ${found.trim()}, and this Hubgate knows version ${CACHE_VERSION} only`,
    );
  }
}
