import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mustRun } from '../../e2e/support/process.ts';

/**
 * A mount namespace for the suite, kept by a process that reads from this one. When this process ends,
 * however it ends, the keeper ends too, and the kernel unmounts what was mounted here and detaches the loop
 * devices.
 */
export class MountNamespace implements AsyncDisposable {
  readonly #keeper: ChildProcess;

  /** @throws if this process may not make one */
  static async make(): Promise<MountNamespace> {
    const keeper = spawn('unshare', ['--mount', '--propagation', 'private', 'cat'], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const { promise: ended, reject } = Promise.withResolvers<never>();
    keeper.on('error', reject);
    keeper.on('exit', () => reject(new Error('no mount namespace can be made')));
    ended.catch(() => {});
    keeper.stdin.on('error', () => {});
    keeper.stdin.write('made\n');
    await Promise.race([once(keeper.stdout, 'data'), ended]);
    return new MountNamespace(keeper);
  }

  private constructor(keeper: ChildProcess) {
    this.#keeper = keeper;
  }

  /** The command that runs the command after it in the namespace. */
  get entrance(): string[] {
    return ['nsenter', `--mount=/proc/${this.#keeper.pid}/ns/mnt`, '--'];
  }

  /** Returns the path by which a file of the namespace is reached from outside. */
  outside(file: string): string {
    return `/proc/${this.#keeper.pid}/root${file}`;
  }

  run(command: string, ...args: string[]): Promise<string> {
    const [program = '', ...rest] = [...this.entrance, command, ...args];
    return mustRun(program, rest);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exited = once(this.#keeper, 'exit');
    this.#keeper.stdin?.end();
    await exited;
  }
}
