import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import type { UpstreamCredential } from '../../../src/core/upstream/upstream.ts';

export interface CoreSettings {
  readonly socket: string;
  readonly directory: string;
  readonly hub: string;
  readonly credential: UpstreamCredential;
  /** The directory of the hosted repositories; absent if nothing is hosted. */
  readonly hosted?: string;
}

export interface CoreLaunch {
  /** Modules that are loaded before the core. */
  readonly imports?: readonly string[];
  /** A command that runs the command after it, in its own process. */
  readonly within?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** The directory of the compile cache. */
  readonly compiled?: string;
}

const FIXTURE = path.join(import.meta.dirname, 'fixtures/core.ts');

/** A core in a process of its own, which is killed without a warning. */
export class CoreProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  #output = '';

  /** Loads the program, which is most of the cost of a start, and starts nothing yet. */
  static async load(launch: CoreLaunch): Promise<CoreProcess> {
    const core = new CoreProcess(launch);
    await core.#said('loaded');
    return core;
  }

  private constructor({ imports = [], within = [], environment, compiled }: CoreLaunch) {
    const options = imports.flatMap((module) => ['--import', module]);
    const [command = '', ...args] = [...within, process.execPath, ...options, FIXTURE];
    const { PATH } = process.env;
    this.#child = spawn(command, args, {
      env: { PATH, ...environment, ...(compiled !== undefined && { NODE_COMPILE_CACHE: compiled }) },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.#exited = once(this.#child, 'exit');
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (chunk) => {
        this.#output += chunk;
      });
    }
  }

  /** Starts the core. Resolves when it is ready. */
  async start(settings: CoreSettings): Promise<void> {
    this.#child.send(settings, () => {});
    await this.#said('ready');
  }

  /** Kills the core as the kernel does when it is out of memory. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }

  /** Ends the core gracefully, so that it leaves the compiled program to the next one. */
  async leave(): Promise<void> {
    this.#child.disconnect();
    await this.#exited;
  }

  async #said(word: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#child.on('message', (message) => message === word && resolve(true));
    const said = await Promise.race([promise, this.#exited.then(() => false)]);
    if (!said) throw new Error(`the core ends before it is ${word}:\n${this.#output}`);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}

/** Compiles the program once, for all cores that are loaded with the same directory. */
export async function compileCore(launch: CoreLaunch): Promise<void> {
  const core = await CoreProcess.load(launch);
  await core.leave();
}
