/**
 * The hosted repositories: content that is pushed here and that no upstream has. It is no cache. Nothing is
 * evicted, a change counts only when it survives a power cut, and the database is never begun anew.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { type Clock, systemClock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/log.ts';
import { makeDirectory } from '../../platform/make-directory.ts';
import { FairQueue, type QueueLimits } from '../../platform/scheduling/fair-queue.ts';
import type { Digest } from '../../registry/digest.ts';
import type { UploadOwner } from '../../registry/upload-id.ts';
import { Collection } from './collect.ts';
import { type HostedDuty, runOnDuty, SOLE_DUTY } from './duty.ts';
import type { HostedContent } from './hosted-content.ts';
import type { HostedDatabase } from './hosted-database.ts';
import { HostedFiles } from './hosted-files.ts';
import { HostedPull } from './hosted-pull.ts';
import { KeyedLock } from './keyed-lock.ts';
import { HOSTED_DATABASE_FILE } from './layout.ts';
import { COLLECTION, MANIFEST_PLACES, UPLOAD_LIMITS, type UploadLimits } from './limits.ts';
import type { NamespaceRules } from './namespace.ts';
import { BlobPush } from './push-blob.ts';
import { ManifestPush } from './push-manifest.ts';
import { Quotas } from './quota.ts';
import { RecentPushes } from './recent-pushes.ts';
import { RecordedRemovals } from './recorded-removals.ts';
import { Removal } from './remove.ts';
import { RetentionPass } from './retention.ts';
import { SqliteHostedDatabase } from './sqlite-hosted-database.ts';
import { TagHistory } from './tag-history.ts';
import { Uploads } from './uploads.ts';

/** The parts that hosting takes from the cluster that this node belongs to. */
export interface HostedInCluster {
  /** The end of the ids of the uploads that this node begins. */
  readonly owner: UploadOwner;
  readonly duty: HostedDuty;
  readonly database: HostedDatabase;
  /** Opens the blobs that the nodes share. `files` has the uploads of this node. */
  readonly openContent: (database: HostedDatabase, files: HostedFiles) => HostedContent;
}

export interface HostedOptions {
  /** The directory of the content. Nothing else is in it. */
  readonly directory: string;
  /** Only tests set another database than the file of the directory, or the one of the cluster. */
  readonly database?: HostedDatabase;
  readonly namespaces: readonly NamespaceRules[];
  readonly limits?: UploadLimits;
  /** The bounds on the manifests that are being received. Only tests set others. */
  readonly manifestPlaces?: QueueLimits;
  /** The pauses in milliseconds between two looks for content that can go. Only tests shorten them. */
  readonly collectEvery?: number;
  readonly retainEvery?: number;
  readonly compareEvery?: number;
}

export interface Hosted extends AsyncDisposable {
  readonly database: HostedDatabase;
  readonly content: HostedContent;
  /** The same content, if it is in local files; undefined in a cluster. */
  readonly files: HostedFiles | undefined;
  readonly pull: HostedPull;
  readonly uploads: Uploads;
  readonly blobs: BlobPush;
  readonly manifests: ManifestPush;
  /** The pushes under way, for the audit log. */
  readonly pushes: RecentPushes;
  /** The places for manifests that are being received. */
  readonly places: FairQueue;
  readonly removal: Removal;
  readonly tags: TagHistory;
  /** The removals that the audit log does not have yet. */
  readonly removals: RecordedRemovals;
  readonly namespaces: readonly NamespaceRules[];
  readonly collection: Collection;
  readonly retention: RetentionPass;
}

export async function openHosted(
  options: HostedOptions,
  log: Logger,
  clock: Clock = systemClock,
  cluster?: HostedInCluster,
): Promise<Hosted> {
  const { directory, namespaces, limits = UPLOAD_LIMITS } = options;
  const {
    collectEvery = COLLECTION.every,
    retainEvery = COLLECTION.retainEvery,
    compareEvery = COLLECTION.compareEvery,
  } = options;
  await using stack = new AsyncDisposableStack();
  await makeDirectory(directory, 0o750);
  const files = new HostedFiles(directory);
  const given = cluster?.database ?? options.database;
  const database = given ?? stack.use(await SqliteHostedDatabase.open(directory, log));
  const content = cluster?.openContent(database, files) ?? files;
  // The database is the lock, so files are only touched after it was opened.
  if (database.failure === undefined) await content.prepare();
  if (cluster !== undefined) warnOfEarlier(directory, log);
  const duty = cluster?.duty ?? SOLE_DUTY;
  const quotas = new Quotas(namespaces);
  const uploads = stack.use(
    new Uploads({ database, content, quotas, namespaces, limits, owner: cluster?.owner, clock, log }),
  );
  const locks = new KeyedLock<Digest>();
  const collection = stack.use(
    new Collection({ database, content, locks, duty, clock, log, every: collectEvery, compareEvery }),
  );
  const retention = stack.use(
    new RetentionPass({ database, namespaces, duty, clock, log, every: retainEvery }),
  );
  const tags = new TagHistory(database, clock);
  stack.use(runOnDuty(duty, retainEvery, (signal) => tags.trim(signal), log));
  const opened = stack.move();
  return {
    database,
    content,
    files: cluster === undefined ? files : undefined,
    pull: new HostedPull({ database, content, clock }),
    uploads,
    blobs: new BlobPush({ database, content, locks, uploads, quotas, clock }),
    pushes: new RecentPushes(clock),
    places: new FairQueue(options.manifestPlaces ?? MANIFEST_PLACES),
    manifests: new ManifestPush({ database, quotas, namespaces, limits, clock }),
    removal: new Removal({ database, namespaces, clock }),
    tags,
    removals: new RecordedRemovals(database, duty),
    namespaces,
    collection,
    retention,
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

function warnOfEarlier(directory: string, log: Logger): void {
  if (!existsSync(path.join(directory, HOSTED_DATABASE_FILE))) return;
  log.warn(
    { directory },
    'this home has hosted repositories of its own, which the cluster may not have: run "hubgate cluster import", and move hosted.db away then; see "Move hosted repositories" in docs/cluster.md',
  );
}
