import { createLogger } from '../../platform/log.ts';
import { ABSENT, stateOfFile } from '../../platform/watched-files.ts';
import type { AuthState } from './auth-state.ts';
import { openAuthState } from './sqlite-state.ts';

/** The place of the state of auth, which is the file of a home or the database of a cluster. */
export interface StatePlace {
  readonly authState: string;
  /** The `postgres://` URL of the database; absent if the home works alone. */
  readonly database?: string;
}

/** Returns whether there has ever been a mirror or a token. Without a state, a question must not make one. */
export async function hasState({ authState, database }: StatePlace): Promise<boolean> {
  return database !== undefined || (await stateOfFile(authState)) !== ABSENT;
}

/**
 * Opens the state for a command.
 * @throws DatabaseUnavailable
 */
export async function openStateAt({ authState, database: url }: StatePlace): Promise<AuthState> {
  if (url === undefined) return openAuthState(authState);
  const { openClusterDatabase } = await import('../../cluster/database.ts');
  const { createPostgresState } = await import('./postgres-state.ts');
  const log = createLogger('command', { level: 'warn', format: 'auto' });
  const connection = await openClusterDatabase({ url, application: 'hubgate command', log });
  const { database, notifications } = connection;
  return createPostgresState({ database, notifications, connection });
}
