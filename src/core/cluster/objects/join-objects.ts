/** The part of a node that uses an object store. It is loaded only if the cluster has one. */
import type { Leases } from '../../../cluster/leases.ts';
import { OBJECT_LIMITS, type ObjectLimits } from '../../../cluster/objects/limits.ts';
import { readingKeys } from '../../../cluster/objects/object-keys.ts';
import { ObjectStore } from '../../../cluster/objects/object-store.ts';
import { StoredObjects } from '../../../cluster/objects/stored-objects.ts';
import type { EgressOptions } from '../../../platform/egress/proxy-rules.ts';
import type { Logger } from '../../../platform/log.ts';
import type { PostgresQueries } from '../../../platform/postgres.ts';
import type { Digest } from '../../../registry/digest.ts';
import { PendingUploads } from '../../store/pending-uploads.ts';
import type { Store } from '../../store/store.ts';
import { OBJECT_DUTY, type ObjectDutyLimits } from '../limits.ts';
import { HostedObjects, type HostedObjectsOptions } from './hosted-objects.ts';
import { runObjectDuty } from './object-duty.ts';
import { ObjectSource } from './object-source.ts';
import { ObjectUploads } from './object-uploads.ts';
import { ObjectUses } from './object-uses.ts';

export interface ObjectsOptions {
  /** The origin of the store. */
  readonly endpoint: string;
  readonly bucket: string;
  readonly prefix: string;
  readonly region: string;
  readonly accessKeyFile: string;
  readonly secretKeyFile: string;
  /** Only tests set others. */
  readonly limits?: Partial<ObjectLimits>;
  readonly duty?: Partial<ObjectDutyLimits>;
}

export interface JoinObjectsOptions extends ObjectsOptions {
  readonly database: PostgresQueries;
  readonly leases: Leases;
  readonly node: string;
  readonly egress: EgressOptions | undefined;
  /** The milliseconds after which an object that no node uses is removed; 0 means never. */
  readonly unusedFor: number;
  readonly log: Logger;
}

export interface ClusterObjects extends AsyncDisposable {
  readonly source: ObjectSource;
  readonly uses: ObjectUses;
  readonly openUploads: (directory: string) => Promise<PendingUploads>;
  /** The reason why the store cannot be used; undefined while it can. */
  readonly trouble: string | undefined;
  /** The contents that this node is to put into the store. */
  readonly pending: number;
  /** The requests that were sent, by their operations and the kinds of their answers. */
  readonly requests: ReadonlyMap<string, number>;
  /** Removes the object of content that no repository contains any more. */
  remove(digest: Digest): Promise<void>;
  /** Opens the blobs of the hosted repositories. */
  openHostedObjects(of: Omit<HostedObjectsOptions, 'store' | 'prefix' | 'signal' | 'log'>): HostedObjects;
  /** Begins to put content there, and to remove what is unused. */
  keep(store: Store): AsyncDisposable;
}

export function joinObjects(options: JoinObjectsOptions): ClusterObjects {
  const { database, leases, node, prefix, unusedFor, log } = options;
  const limits = { ...OBJECT_LIMITS, ...options.limits };
  const duty = { ...OBJECT_DUTY, ...options.duty };
  const requests = new Map<string, number>();
  const store = new ObjectStore({
    ...options,
    keys: readingKeys(options),
    limits,
    observe: (operation, status) => {
      const outcome = status === 'none' ? status : `${Math.floor(status / 100)}xx`;
      const key = `${operation} ${outcome}`;
      requests.set(key, (requests.get(key) ?? 0) + 1);
    },
  });
  const objects = new StoredObjects(database);
  const source = new ObjectSource({ store, objects, log });
  // A use that is not told again in time would count as none.
  const repeatAfter = unusedFor > 0 ? Math.min(duty.repeatUsesAfter, unusedFor / 4) : duty.repeatUsesAfter;
  const uses = new ObjectUses({ objects, every: duty.reportUsesEvery, repeatAfter, log });
  const ending = new AbortController();
  let uploads: PendingUploads | undefined;
  return {
    source,
    uses,
    async openUploads(directory) {
      uploads = await PendingUploads.open(directory);
      uploads.isInObjectStore = (digest) => source.hasSeen(digest);
      return uploads;
    },
    get trouble() {
      return store.trouble.current;
    },
    get pending() {
      return uploads?.digests.size ?? 0;
    },
    requests,
    remove: (digest) => objects.removeUnlinked(digest),
    openHostedObjects: (of) => new HostedObjects({ ...of, store, prefix, signal: ending.signal, log }),
    keep({ content, uploads: pending }) {
      const stack = new AsyncDisposableStack();
      if (pending !== undefined)
        stack.use(new ObjectUploads({ store, objects, leases, pending, content, node, prefix, log }));
      stack.use(runObjectDuty({ store, objects, leases, prefix, unusedFor, limits: duty, log }));
      return stack;
    },
    async [Symbol.asyncDispose]() {
      source.end();
      ending.abort(new Error('the node is stopping'));
      await uses[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    },
  };
}
