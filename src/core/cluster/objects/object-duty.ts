/**
 * Removes objects that no node has used for a long time, and those that no row names. One node at a time does
 * that for all.
 */
import type { Leases } from '../../../cluster/leases.ts';
import {
  blobsPrefix,
  hostedPrefix,
  isBlobKey,
  isHostedKey,
  ownerKey,
} from '../../../cluster/objects/object-key.ts';
import type { ObjectStore } from '../../../cluster/objects/object-store.ts';
import type { StoredObjects } from '../../../cluster/objects/stored-objects.ts';
import { DatabaseUnavailable } from '../../../platform/database-unavailable.ts';
import type { Logger } from '../../../platform/log.ts';
import { runPeriodically } from '../../../platform/scheduling/periodic-task.ts';
import type { ObjectDutyLimits } from '../limits.ts';
import { checkOwner } from './object-owner.ts';

export interface ObjectDutyOptions {
  readonly store: ObjectStore;
  readonly objects: StoredObjects;
  readonly leases: Leases;
  readonly prefix: string;
  /** The milliseconds after which an unused object is removed; 0 means never. */
  readonly unusedFor: number;
  readonly limits: ObjectDutyLimits;
  readonly log: Logger;
}

const DUTY = 'duty objects';
const BATCH = 500;

/** The kinds of objects that are searched for those without a row. */
const KINDS = [
  { prefix: blobsPrefix, isKey: isBlobKey },
  { prefix: hostedPrefix, isKey: isHostedKey },
];

export function runObjectDuty(options: ObjectDutyOptions): AsyncDisposable {
  const { leases, limits, log } = options;
  const task = async (stopping: AbortSignal) => {
    try {
      const taken = await leases.take(DUTY);
      if (taken.kind === 'elsewhere') return undefined;
      await using held = taken;
      await removeObjects(options, AbortSignal.any([stopping, held.lost]));
    } catch (error) {
      if (!(error instanceof DatabaseUnavailable)) throw error;
    }
    return undefined;
  };
  return runPeriodically(limits.every, task, log);
}

async function removeObjects(options: ObjectDutyOptions, signal: AbortSignal): Promise<void> {
  const { store, objects, prefix, unusedFor, limits, log } = options;
  if (!(await isOwn(options, signal))) return;
  let unused = 0;
  if (unusedFor > 0)
    for (let count = BATCH; count === BATCH && !signal.aborted; unused += count)
      count = await objects.removeUnused(unusedFor, BATCH);
  if (unused > 0)
    log.info({ objects: unused }, 'objects that no node uses are removed from the object store');
  if (!(await removeForgotten(options, signal)) || !(await objects.isSweepDue(limits.sweepEvery))) return;
  for (const kind of KINDS) {
    await store.abortUploads(kind.prefix(prefix), Date.now() - limits.orphansAfter, signal);
    await removeOrphans(options, kind, signal);
  }
}

/** Removes the objects whose rows went long ago. Resolves to false if the store is away. */
async function removeForgotten(
  { store, objects, limits }: ObjectDutyOptions,
  signal: AbortSignal,
): Promise<boolean> {
  for (;;) {
    const keys = await objects.removable(limits.keepRemoved, BATCH);
    for (const key of keys) {
      if (signal.aborted || (await store.remove(key, signal)).kind !== 'ok') return false;
      await objects.removed(key);
    }
    if (keys.length < BATCH) return true;
  }
}

/** Removes the objects that no row names, for example because a node ended between its upload and its row. */
async function removeOrphans(
  { store, objects, prefix, limits, log }: ObjectDutyOptions,
  kind: (typeof KINDS)[number],
  signal: AbortSignal,
): Promise<void> {
  let removed = 0;
  for (let after = ''; !signal.aborted; ) {
    const listed = await store.list(kind.prefix(prefix), after, signal);
    if (listed.kind !== 'ok') break;
    const { objects: found, isMore, now } = listed.value;
    const old = found.filter(({ key, modifiedAt }) => {
      return kind.isKey(prefix, key) && modifiedAt <= now - limits.orphansAfter;
    });
    for (const key of await objects.unknown(old.map((one) => one.key)))
      if ((await store.remove(key, signal)).kind === 'ok') removed++;
    after = found.at(-1)?.key ?? '';
    if (!isMore || after === '') break;
  }
  if (removed > 0)
    log.info({ objects: removed }, 'objects that nothing names are removed from the object store');
}

/**
 * True if the store says that it belongs to this cluster. Nothing is removed from one that belongs to another
 * cluster, because the rows of that one are not here.
 */
async function isOwn(
  { store, objects, prefix, log }: ObjectDutyOptions,
  signal: AbortSignal,
): Promise<boolean> {
  const owner = await checkOwner(store, objects, ownerKey(prefix), signal);
  if (owner === 'another')
    log.error(
      { key: ownerKey(prefix) },
      'the object store belongs to another cluster below this prefix; nothing is removed from it. Set cluster.objects.prefix',
    );
  return owner === 'own';
}
