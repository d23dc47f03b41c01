import { FaultsError, formatFault } from '../../platform/fault.ts';
import type { Logger } from '../../platform/log.ts';
import { watchFile } from '../../platform/watched-file.ts';
import { readUsers, type Users } from './users-file.ts';

/** The users as the file says it now. */
export interface LiveUsers extends Disposable {
  readonly current: Users;
}

/** Follows the users file. One that is wrong changes nothing, and the log says so; at the start its faults are thrown. */
export async function followUsers(file: string, log: Logger): Promise<LiveUsers> {
  let current: Users | undefined;
  const load = async () => {
    const next = await readUsers(file);
    if ('value' in next) {
      current = next.value;
      return;
    }
    if (current === undefined) throw new FaultsError(next.faults);
    log.error({ file, faults: next.faults.map(formatFault) }, 'users file refused; the last good one holds');
  };
  const watch = await watchFile(file, load);
  return {
    get current() {
      return current as Users;
    },
    [Symbol.dispose]: () => watch[Symbol.dispose](),
  };
}
