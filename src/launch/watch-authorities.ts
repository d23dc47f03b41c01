import type { Config } from '../config/config.ts';
import type { Role } from '../config/home.ts';
import type { Logger } from '../platform/log.ts';
import { stateOfFile, watchedSlowly, watchFiles } from '../platform/watched-files.ts';

/**
 * Says in the log if a file of authorities that this role has read is changed, because such files are read at
 * a start only: `upstreams.X.ca` by the core, `egress.ca` by the core and by auth.
 */
export async function watchAuthorities(role: Role, config: Config, log: Logger): Promise<Disposable> {
  const { egress, upstreams } = config;
  const given =
    role === 'gateway' || role === 'account'
      ? []
      : [egress.ca, ...(role === 'core' ? upstreams.map(({ ca }) => ca) : [])];
  const files = new Set(given.filter((file) => file !== undefined));
  const stack = new DisposableStack();
  for (const file of files) {
    const state = () => stateOfFile(file);
    const seen = await state();
    const load = async () =>
      log.warn(
        { file },
        'a file of authorities has changed; what it said at the start holds until a restart',
      );
    stack.use(watchFiles({ state, seen, load, ...watchedSlowly([file]), log }));
  }
  return stack;
}
