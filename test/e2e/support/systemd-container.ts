import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { waitFor } from '../../support/wait-for.ts';
import { ensurePackages } from './packages.ts';
import { mustRun, type RunningProcess, run, startProcess } from './process.ts';

const ROOT = path.join(import.meta.dirname, '../../..');

/**
 * This machine's system, started a second time by a systemd in a container. It has its own network, and a
 * copy of every file that it writes, so that nothing on this machine changes. No service of this machine runs
 * in it.
 */
export class SystemdContainer implements AsyncDisposable {
  readonly #directory: string;
  readonly #container: RunningProcess;
  readonly #init: string;

  private constructor(directory: string, container: RunningProcess, init: string) {
    this.#directory = directory;
    this.#container = container;
    this.#init = init;
  }

  static async start(): Promise<SystemdContainer> {
    await ensurePackages({ 'systemd-nspawn': 'systemd-container', curl: 'curl' });
    const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-systemd-'));
    const at = (name: string) => path.join(directory, name);
    await mustRun('mount', ['-t', 'tmpfs', '-o', 'size=3g', 'tmpfs', directory]);
    for (const name of ['upper', 'work', 'root']) await mkdir(at(name));
    const layers = `lowerdir=/,upperdir=${at('upper')},workdir=${at('work')}`;
    await mustRun('mount', ['-t', 'overlay', 'overlay', '-o', layers, at('root')]);
    let init: string | undefined;
    const container = await startProcess(
      'systemd-nspawn',
      [
        ...['--quiet', '--directory', at('root'), '--machine', path.basename(directory)],
        ...['--register=no', '--keep-unit', '--private-network', '--link-journal=no', '--console=pipe'],
        ...[`--bind-ro=${ROOT}`, '--boot', '--', '--unit=basic.target'],
      ],
      {
        ready: async () => {
          init = await initBelow(at('root'));
          return init !== undefined && (await isUp(init));
        },
      },
    ).catch(async (error) => {
      await unmount(directory);
      throw error;
    });
    return new SystemdContainer(directory, container, init ?? '');
  }

  /** Runs a command in the container as root. */
  run(command: string, ...args: string[]) {
    return run('nsenter', [...enter(this.#init), command, ...args]);
  }

  mustRun(command: string, ...args: string[]) {
    return mustRun('nsenter', [...enter(this.#init), command, ...args]);
  }

  /** Resolves when the mirror in it reports that it is ready. */
  ready(): Promise<void> {
    const probe = ['-sS', '-o', '/dev/null', '-w', '%{http_code}', 'http://127.0.0.1:9090/readyz'];
    return waitFor(async () => (await this.run('curl', ...probe)).output.endsWith('200'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#container.stop('SIGKILL');
    await run('kill', ['-KILL', this.#init]);
    await unmount(this.#directory);
  }
}

function enter(init: string): string[] {
  return ['--target', init, '--mount', '--uts', '--ipc', '--net', '--pid', '--'];
}

/**
 * Finds the first process of the system below `root`: its parent is the systemd-nspawn that names this
 * directory.
 */
async function initBelow(root: string): Promise<string | undefined> {
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (!command.startsWith('systemd-nspawn') || !command.includes(`\0${root}\0`)) continue;
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
    return children.trim().split(' ')[0] || undefined;
  }
  return undefined;
}

async function isUp(init: string): Promise<boolean> {
  const { output } = await run('nsenter', [...enter(init), 'systemctl', 'is-system-running']);
  return /^(?:running|degraded)/.test(output);
}

async function unmount(directory: string): Promise<void> {
  await run('umount', ['--lazy', path.join(directory, 'root')]);
  await run('umount', ['--lazy', directory]);
  await rm(directory, { recursive: true, force: true });
}
