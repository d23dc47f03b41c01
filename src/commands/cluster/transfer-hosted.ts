/** Copies hosted repositories from a home into its cluster, and back. */
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { OBJECT_LIMITS } from '../../cluster/objects/limits.ts';
import { ownerKey } from '../../cluster/objects/object-key.ts';
import { readingKeys } from '../../cluster/objects/object-keys.ts';
import { ObjectStore } from '../../cluster/objects/object-store.ts';
import { StoredObjects } from '../../cluster/objects/stored-objects.ts';
import type { Config } from '../../config/config.ts';
import type { HomePaths } from '../../config/home.ts';
import { copyToFiles, copyToObjects, type HostedCopies } from '../../core/cluster/objects/hosted-copies.ts';
import { HostedUploads } from '../../core/cluster/objects/hosted-uploads.ts';
import { checkOwner } from '../../core/cluster/objects/object-owner.ts';
import { backUpStoppedHosted } from '../../core/hosted/backup.ts';
import { type HostedDatabase, HostedUnavailable } from '../../core/hosted/hosted-database.ts';
import { HostedFiles } from '../../core/hosted/hosted-files.ts';
import { HOSTED_DATABASE_FILE, IMPORT_DIRECTORY } from '../../core/hosted/layout.ts';
import { PostgresHostedDatabase } from '../../core/hosted/postgres-hosted-database.ts';
import { SqliteHostedDatabase } from '../../core/hosted/sqlite-hosted-database.ts';
import {
  type TransferOptions,
  type TransferredHosted,
  TransferStopped,
  transferHosted,
} from '../../core/hosted/transfer.ts';
import type { Terminal } from '../../launch/terminal.ts';
import { egressOptions } from '../../launch/upstream-options.ts';
import { systemClock } from '../../platform/clock.ts';
import { createLogger } from '../../platform/log.ts';
import { makeDirectory } from '../../platform/make-directory.ts';
import type { Postgres } from '../../platform/postgres.ts';
import { messageOf } from '../../platform/reason.ts';
import { backUpByWhomeverHoldsIt } from '../hosted-backup.ts';
import { TransferProgress } from '../progress.ts';
import { CopyProgress } from './copy-progress.ts';

export interface HostedTransferHome {
  readonly config: Config;
  readonly paths: HomePaths;
  readonly database: Postgres;
  /** The progress is shown here. */
  readonly terminal: Terminal;
}

/** A store that is asked to take terabytes may let a probe wait. */
const LIMITS = { ...OBJECT_LIMITS, probe: 10_000 };
const AGAIN = '; a part may be there: run this again';
const LOG = { level: 'error', format: 'auto' } as const;

/**
 * Copies what a home has hosted alone into the cluster, while the home serves. Resolves to undefined if it
 * has hosted nothing, and to a sentence if the copy cannot go on.
 */
export async function importHosted(
  home: HostedTransferHome,
): Promise<TransferredHosted | string | undefined> {
  const { hosted } = home.config;
  if (hosted === undefined || !existsSync(path.join(hosted.directory, HOSTED_DATABASE_FILE)))
    return undefined;
  return withObjects(home, async (objects, database) => {
    // It is on the disk of the blobs, so it shares their bytes. An import that was killed has left one.
    const snapshot = path.join(hosted.directory, IMPORT_DIRECTORY);
    if (await isInUse(snapshot)) return 'another import of this home runs; wait for its end';
    await rm(snapshot, { recursive: true, force: true });
    try {
      const why = await takeSnapshot(home, hosted.directory, snapshot);
      if (why !== undefined) return why;
      using from = await SqliteHostedDatabase.open(snapshot, createLogger('cluster', LOG));
      const copyBlob = copyToObjects({ ...objects, files: new HostedFiles(snapshot) });
      return await transferShown({ from, to: database, copyBlob, clock: systemClock }, home.terminal);
    } finally {
      await rm(snapshot, { recursive: true, force: true });
    }
  });
}

/** Copies what the cluster hosts into the home, which hosts it when it works alone. */
export async function exportHosted(
  home: HostedTransferHome,
): Promise<TransferredHosted | string | undefined> {
  const { hosted } = home.config;
  if (hosted === undefined) return undefined;
  return withObjects(home, async (objects, database) => {
    await makeDirectory(hosted.directory, 0o750);
    using to = await SqliteHostedDatabase.open(hosted.directory, createLogger('cluster', LOG));
    if (to.failure !== undefined) return to.failure.message;
    const files = new HostedFiles(hosted.directory);
    await files.makeDirectories();
    const copyBlob = copyToFiles({ ...objects, files });
    return await transferShown({ from: database, to, copyBlob, clock: systemClock }, home.terminal);
  });
}

async function transferShown(options: TransferOptions, terminal: Terminal): Promise<TransferredHosted> {
  const copied = new CopyProgress();
  using _shown = new TransferProgress(terminal, () => copied.lines());
  return await transferHosted({ ...options, copyBlob: copied.follow(options.copyBlob) });
}

/** True if an import reads this snapshot. */
async function isInUse(snapshot: string): Promise<boolean> {
  if (!existsSync(path.join(snapshot, HOSTED_DATABASE_FILE))) return false;
  try {
    using _left = await SqliteHostedDatabase.open(snapshot, createLogger('cluster', LOG));
    return false;
  } catch {
    return true;
  }
}

/**
 * A core that runs as a node of the cluster does not use the files, so this process may read them. An image
 * whose blob has no file is left later, and the others are copied.
 */
async function takeSnapshot(
  { config, paths }: HostedTransferHome,
  directory: string,
  snapshot: string,
): Promise<string | undefined> {
  const asked = await backUpByWhomeverHoldsIt(config, paths, snapshot, 'leave');
  if (asked.kind === 'done') return undefined;
  const own = await backUpStoppedHosted(directory, snapshot, createLogger('cluster', LOG), 'leave');
  return own.kind === 'done' ? undefined : own.why;
}

/** Runs a task with the object store of the cluster, or resolves to why it cannot be used. */
async function withObjects(
  { config, database }: HostedTransferHome,
  task: (objects: Omit<HostedCopies, 'files'>, hosted: HostedDatabase) => Promise<TransferredHosted | string>,
): Promise<TransferredHosted | string> {
  const objects = config.cluster?.objects;
  if (objects === undefined) return 'a cluster hosts repositories only with cluster.objects';
  const { prefix } = objects;
  const { signal } = new AbortController();
  const egress = await egressOptions(config);
  const options = { ...objects, egress, keys: readingKeys(objects), limits: LIMITS };
  await using store = new ObjectStore({ ...options, log: createLogger('cluster', LOG) });
  const there = await store.probe(AbortSignal.timeout(LIMITS.probe));
  if (there.kind !== 'ok') return `the object store cannot be used: ${there.detail}`;
  if ((await checkOwner(store, new StoredObjects(database), ownerKey(prefix), signal)) === 'another')
    return 'the object store belongs to another cluster below this prefix; set cluster.objects.prefix';
  const hosted = new PostgresHostedDatabase(database);
  const uploads = new HostedUploads({ store, prefix, database: hosted, signal });
  try {
    return await task({ store, uploads, signal }, hosted);
  } catch (error) {
    if (error instanceof TransferStopped) return `${error.message}${AGAIN}`;
    if (error instanceof HostedUnavailable) return `${error.message}: ${messageOf(error.cause)}${AGAIN}`;
    throw error;
  }
}
