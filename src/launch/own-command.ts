import { readFile, realpath } from 'node:fs/promises';
import path from 'node:path';

const BIN = path.join(import.meta.dirname, '../bin/hubgate.ts');
/** The file that npm installs as the command. */
const LAUNCHER = path.join(import.meta.dirname, '../../bin/hubgate.cjs');

export interface RunEnvironment {
  /** The variable PATH. */
  readonly searchPath: string | undefined;
  readonly home: string;
  /** The home of a command that a person types here without `--home`. */
  readonly usualHome: string;
  /**
   * The name of the user of this process. It throws if the user has none, which can happen in a container.
   */
  readonly user: () => string;
}

/**
 * Returns the command with which a person runs a verb of this program in this home. It is `hubgate` in the
 * image and after `npm install --global`; the same as the user of the service if deploy/systemd/install.sh or
 * the Debian package installed it; and otherwise `npx hubgate`, as in a checkout.
 */
export async function ownCommand({
  searchPath = '',
  home,
  usualHome,
  user,
}: RunEnvironment): Promise<string> {
  const inHome = home === usualHome ? '' : ` --home ${home}`;
  for (const directory of searchPath.split(path.delimiter)) {
    // npm adds such a directory for the time of one command.
    if (directory === '' || directory.endsWith('node_modules/.bin')) continue;
    const file = path.join(directory, 'hubgate');
    const target = await realpath(file).catch(() => undefined);
    if (target === BIN || target === LAUNCHER) return `hubgate${inHome}`;
    const script = await readFile(file, 'utf8').catch(() => '');
    if (!script.includes(BIN)) continue;
    return `sudo -u ${user()} hubgate${script.includes(home) ? '' : ` --home ${home}`}`;
  }
  return `npx hubgate${inHome}`;
}
