import type { Logger } from '../../platform/log.ts';
import { runPeriodically } from '../../platform/scheduling/periodic-task.ts';
import { ABSENT, stateOfFile } from '../../platform/watched-files.ts';
import { DELETED_OWNERS_EVERY } from '../limits.ts';
import type { AuthState } from '../state/auth-state.ts';
import type { Users } from './users-file.ts';
import type { WatchedUsers } from './users-watcher.ts';

export interface DeletedOwnersOptions {
  readonly users: Pick<WatchedUsers, 'current' | 'look'>;
  readonly usersFile: string;
  readonly state: Pick<AuthState, 'tokens' | 'removeToken'>;
  readonly log: Logger;
  /**
   * Tells whether the users file of this node is the one that counts; absent if it always is. In a cluster
   * the file of one node may be older, and the tokens belong to all nodes.
   */
  readonly isCurrent?: (() => Promise<boolean>) | undefined;
  /** The milliseconds between two looks. */
  readonly interval?: number;
}

/**
 * Ends the service tokens of entries that had no id and were deleted. Without an id such an entry cannot be
 * distinguished from a later one with the same name, so its tokens would become valid again. An entry counts
 * as deleted if two looks miss it, because an editor may write the file in several steps.
 */
export function endTokensOfDeletedOwners(options: DeletedOwnersOptions): AsyncDisposable {
  const { users, usersFile, state, isCurrent, log, interval = DELETED_OWNERS_EVERY } = options;
  let seen: Users | undefined;
  let missed: ReadonlySet<string> = new Set();
  const look = async (): Promise<undefined> => {
    if (users.current === seen && missed.size === 0) return;
    const before = missed;
    missed = new Set();
    // A file that is missing, or that is being written, does not count as a deletion.
    const written = await stateOfFile(usersFile);
    await users.look();
    const { current } = users;
    if (written === ABSENT || (await stateOfFile(usersFile)) !== written) return;
    if (isCurrent !== undefined && !(await isCurrent())) return;
    const ownerless = (await state.tokens()).filter(
      ({ owner, ownerId }) => ownerId === null && !current.has(owner),
    );
    missed = new Set(ownerless.map(({ id }) => id));
    for (const { id, owner } of ownerless) {
      if (!before.has(id)) continue;
      await state.removeToken(id);
      log.warn({ id, owner }, 'a service token has ended, because the entry of its owner was deleted');
    }
    seen = current;
  };
  return runPeriodically(interval, look, log);
}
