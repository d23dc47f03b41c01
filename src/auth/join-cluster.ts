/** The part of auth that belongs to a cluster. It is loaded only if there is one. */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { openClusterDatabase } from '../cluster/database.ts';
import type { Notifications } from '../cluster/notifications.ts';
import { type DocumentCopy, SharedDocument } from '../cluster/shared-document.ts';
import { DatabaseUnavailable } from '../platform/database-unavailable.ts';
import type { Logger } from '../platform/log.ts';
import type { ObservableValue } from '../platform/observable-value.ts';
import type { Postgres } from '../platform/postgres.ts';
import {
  type SharedDirectoryLogins,
  shareDirectoryLogins,
} from './identity/directory/share-directory-logins.ts';
import type { LoginDelays } from './identity/login-delays.ts';
import { shareDelays } from './identity/share-delays.ts';
import type { AuthState } from './state/auth-state.ts';
import { createPostgresState } from './state/postgres-state.ts';
import { shareKeys } from './token/shared-keys.ts';
import type { SigningKeys } from './token/signing-key.ts';

export interface AuthClusterOptions {
  /** A `postgres://` URL. */
  readonly database: string;
  /** The name of this node. */
  readonly node: string;
  readonly onDatabaseLoss: 'serve' | 'refuse';
  /** The directory for the versions of documents that this node has. */
  readonly directory: string;
}

export interface AuthCluster extends AsyncDisposable {
  readonly state: AuthState;
  /** Returns the keys that verify the tokens of all nodes. */
  shareKeys(own: ObservableValue<SigningKeys>): Promise<ObservableValue<SigningKeys> & Disposable>;
  /** Makes the copies of this node equal to the documents, now and whenever one of them changes. */
  follow(copies: Readonly<Record<'users' | 'policy', DocumentCopy>>): Promise<Followed>;
  /** Counts wrong passwords together with the other nodes. */
  shareDelays(delays: LoginDelays): AsyncDisposable;
  /** The state that the nodes share for logins of directories. */
  readonly sharedLogins: SharedDirectoryLogins;
  /** True if a revocation could go unnoticed, and the configuration does not accept that. */
  isBlind(): boolean;
}

/** The documents that this node shares. */
export interface Followed extends AsyncDisposable {
  /** Stores what was edited here. */
  edited(name: 'users' | 'policy'): void;
  /** True if this node has the users that all nodes have. It is false while nobody can tell. */
  hasCurrentUsers(): Promise<boolean>;
}

/**
 * Connects to the database of the cluster.
 * @throws DatabaseUnavailable
 */
export async function joinAuthCluster(
  { database: url, node, onDatabaseLoss, directory }: AuthClusterOptions,
  log: Logger,
): Promise<AuthCluster> {
  await using stack = new AsyncDisposableStack();
  const connected = stack.use(await openClusterDatabase({ url, application: `hubgate auth ${node}`, log }));
  const state = stack.use(createPostgresState(connected));
  const joined = stack.move();
  return {
    state,
    shareKeys: (own) => shareKeys({ ...connected, own, node, log }),
    follow: (copies) => followDocuments({ ...connected, copies, node, directory, log }),
    shareDelays: (delays) => shareDelays({ ...connected, delays, node }),
    sharedLogins: shareDirectoryLogins(connected.database, node),
    isBlind: () => onDatabaseLoss === 'refuse' && !connected.notifications.isListening.current,
    [Symbol.asyncDispose]: () => joined.disposeAsync(),
  };
}

interface FollowOptions extends Pick<AuthClusterOptions, 'node' | 'directory'> {
  readonly database: Postgres;
  readonly notifications: Notifications;
  readonly copies: Readonly<Record<'users' | 'policy', DocumentCopy>>;
  readonly log: Logger;
}

async function followDocuments({
  copies,
  notifications,
  directory,
  log,
  ...shared
}: FollowOptions): Promise<Followed> {
  await mkdir(directory, { recursive: true, mode: 0o750 });
  const document = (name: 'users' | 'policy') =>
    new SharedDocument({
      ...{ ...shared, name, copy: copies[name], log },
      stateFile: path.join(directory, `${name}.json`),
    });
  const documents = { users: document('users'), policy: document('policy') };
  let isOver = false;
  let syncing: Promise<unknown> = Promise.resolve();
  const sync = (one: SharedDocument) => {
    if (isOver) return;
    const synced = one.sync().catch((error: Error) => {
      // When the database is back, its first message causes another attempt.
      if (error instanceof DatabaseUnavailable) return;
      log.error({ err: error }, 'a document of the cluster cannot be read or written');
    });
    syncing = Promise.all([syncing, synced]);
  };
  await documents.users.sync();
  await documents.policy.sync();
  notifications.on('documents', (name) => {
    for (const [own, one] of Object.entries(documents)) if (name === own || name === '') sync(one);
  });
  return {
    edited: (name) => sync(documents[name]),
    hasCurrentUsers: () => documents.users.isCurrent().catch(() => false),
    [Symbol.asyncDispose]: async () => {
      isOver = true;
      await syncing;
    },
  };
}
