import type { Logger } from '../../platform/log.ts';
import { type Followed, followFile } from '../../platform/watched-files.ts';
import { readUsers, type Users } from './users-file.ts';

/** The users as the file says it now. */
export type LiveUsers = Followed<Users>;

export function followUsers(file: string, log: Logger): Promise<LiveUsers> {
  return followFile('users file', file, readUsers, log);
}
