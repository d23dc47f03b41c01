import { chmod, copyFile, cp, mkdir, realpath, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { ensurePackages } from './packages.ts';
import { mustRun, run } from './process.ts';

const ROOT = path.join(import.meta.dirname, '../../..');
/** The base image of the Dockerfile. */
const BASE = 'node:26-slim';
const IMAGE = 'hubgate';

/** The image as buildah builds it from the Dockerfile, without a daemon and without a pull. */
export interface BuiltImage {
  /** The root file system of the last stage. */
  readonly root: string;
  /** The configuration of the image, as the OCI image spec has it. */
  readonly config: {
    readonly User: string;
    readonly Env: readonly string[];
    readonly Entrypoint: readonly string[];
    readonly Cmd: readonly string[];
    readonly WorkingDir: string;
  };
}

/** Builds below `directory`, which then contains the store of buildah. */
export class Buildah implements AsyncDisposable {
  readonly #directory: string;
  readonly #flags: readonly string[];

  private constructor(directory: string) {
    this.#directory = directory;
    const at = (name: string) => path.join(directory, name);
    this.#flags = ['--root', at('storage'), '--runroot', at('run'), '--storage-driver', 'vfs'];
  }

  static async open(directory: string): Promise<Buildah> {
    await ensurePackages({ buildah: 'buildah', busybox: 'busybox-static' });
    const buildah = new Buildah(directory);
    await buildah.#makeBase();
    return buildah;
  }

  run(args: readonly string[], more: readonly string[] = []) {
    return run('buildah', [...this.#flags, ...args, ...more]);
  }

  async #mustRun(...args: string[]): Promise<string> {
    return (await mustRun('buildah', [...this.#flags, ...args])).trim();
  }

  /**
   * Makes a base image with the name that the Dockerfile uses: Node and npm of this machine, the libraries
   * that Node loads, and busybox.
   */
  async #makeBase(): Promise<void> {
    const base = path.join(this.#directory, 'base');
    const at = (name: string) => path.join(base, name);
    for (const name of ['bin', 'etc', 'lib64', 'root', 'tmp', 'usr/bin', 'usr/local/bin', 'usr/local/lib'])
      await mkdir(at(name), { recursive: true });
    await chmod(at('tmp'), 0o1777);
    const busybox = (await mustRun('sh', ['-c', 'command -v busybox'])).trim();
    await copyFile(busybox, at('bin/busybox'));
    await mustRun('chroot', [base, '/bin/busybox', '--install', '-s', '/bin']);
    await symlink('/bin/env', at('usr/bin/env'));
    await copyFile(process.execPath, at('usr/local/bin/node'));
    const libraries = await mustRun('ldd', [process.execPath]);
    for (const [, library = ''] of libraries.matchAll(/(\/\S+) \(0x/g)) {
      await mkdir(path.dirname(at(library)), { recursive: true });
      await mustRun('cp', ['--dereference', library, at(library)]);
    }
    const npm = await realpath((await mustRun('sh', ['-c', 'command -v npm'])).trim());
    await cp(path.join(npm, '../..'), at('usr/local/lib/node_modules/npm'), { recursive: true });
    await symlink('../lib/node_modules/npm/bin/npm-cli.js', at('usr/local/bin/npm'));
    const users = ['root:x:0:0::/root:/bin/sh', 'node:x:1000:1000::/home/node:/bin/sh'];
    await writeFile(at('etc/passwd'), `${users.join('\n')}\n`);
    await writeFile(at('etc/group'), 'root:x:0:\nnode:x:1000:\n');
    const container = await this.#mustRun('from', 'scratch');
    await this.#mustRun('copy', '--quiet', container, base, '/');
    await this.#mustRun('config', '--env', 'PATH=/usr/local/bin:/usr/bin:/bin', container);
    await this.#mustRun('commit', '--quiet', '--rm', container, `localhost/${BASE}`);
  }

  /** Builds the Dockerfile of the checkout. */
  build(buildArguments: Readonly<Record<string, string>> = {}) {
    const given = Object.entries(buildArguments).flatMap(([name, value]) => [
      '--build-arg',
      `${name}=${value}`,
    ]);
    const flags = ['--isolation', 'chroot', '--pull-never', '--format', 'docker', '--tag', IMAGE];
    return this.run(['build', ...flags, ...given], [ROOT]);
  }

  /** Returns the built image as a directory to which a container may write. */
  async mount(): Promise<BuiltImage> {
    const container = await this.#mustRun('from', '--pull-never', `localhost/${IMAGE}`);
    const root = await this.#mustRun('mount', container);
    const inspected = JSON.parse(await this.#mustRun('inspect', '--type', 'image', `localhost/${IMAGE}`));
    return { root, config: inspected.Docker.config };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.run(['umount', '--all']);
    await this.run(['rm', '--all']);
  }
}
