import type { Parsed } from '../../platform/fault.ts';
import type { Logger } from '../../platform/log.ts';
import { PersistentWorker, SHORT_TEXT } from '../../platform/scheduling/persistent-worker.ts';
import { type WatchedFile, watchFile } from '../../platform/watched-files.ts';
import { parseUsers, readUsersText, type Users } from './users-file.ts';
import type { UsersParserAnswer } from './users-worker.ts';

/** The current users of the file. */
export type WatchedUsers = WatchedFile<Users>;

export async function watchUsers(file: string, log: Logger): Promise<WatchedUsers> {
  using stack = new DisposableStack();
  const thread = stack.use(
    new PersistentWorker<UsersParserAnswer, Parsed<Users>>(new URL('./users-worker.ts', import.meta.url)),
  );
  const read = async (): Promise<Parsed<Users>> => {
    const text = await readUsersText(file);
    if ('faults' in text) return text;
    return text.value.length <= SHORT_TEXT
      ? parseUsers(file, text.value)
      : thread.ask({ file, text: text.value });
  };
  const followed = stack.use(await watchFile('users file', file, read, log));
  const following = stack.move();
  return {
    get current() {
      return followed.current;
    },
    changed: () => followed.changed(),
    look: () => followed.look(),
    [Symbol.dispose]: () => following[Symbol.dispose](),
  };
}
