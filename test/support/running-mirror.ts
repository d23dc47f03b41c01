import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { isErrno } from '../../src/platform/reason.ts';
import { COMPILED, shareCompiled } from './compiled.ts';
import { freePort } from './free-port.ts';
import { ask, type TestRequest, type TestResponse } from './http.ts';
import { waitFor } from './wait-for.ts';

const BIN = path.join(import.meta.dirname, '../../src/bin/hubgate.ts');

export interface RunningMirrorOptions {
  readonly workers?: number;
  /** The limit of open files, hard and soft. */
  readonly openFiles?: number;
  /** The test itself determines whether the mirror starts. */
  readonly mayFail?: boolean;
  readonly environment?: Readonly<Record<string, string>>;
  /** The text of config/hubgate.yaml. */
  readonly config?: string;
  /** Is called before the mirror starts. */
  readonly prepare?: (mirror: RunningMirror) => Promise<void>;
  /** The text of config/access.yaml. */
  readonly policy?: string;
  /** The address on which it listens, if it is not loopback, and the command that starts it there. */
  readonly host?: string;
  readonly entrance?: readonly string[];
}

/** `hubgate start` in a home of its own, with an upstream that does not answer. */
export class RunningMirror implements AsyncDisposable {
  readonly home: string;
  readonly port: number;
  readonly adminPort: number;
  readonly #options: RunningMirrorOptions;
  #child: ReturnType<typeof spawn> | undefined;
  #exit: Promise<unknown[]> | undefined;
  output = '';

  static async start(options: RunningMirrorOptions = {}): Promise<RunningMirror> {
    for (let attempt = 1; ; attempt++) {
      const home = await mkdtemp(path.join(tmpdir(), 'hubgate-home-'));
      await shareCompiled(home);
      for (const [file, text] of [
        ['hubgate.yaml', options.config],
        ['access.yaml', options.policy],
      ] as const) {
        if (text === undefined) continue;
        await mkdir(path.join(home, 'config'), { recursive: true });
        await writeFile(path.join(home, 'config', file), text, { mode: 0o600 });
      }
      const mirror = new RunningMirror(home, await freePort(), await freePort(), options);
      const isUp = await mirror.#prepareAndStart().catch(async (error: unknown) => {
        await mirror[Symbol.asyncDispose]();
        throw new Error(`the mirror does not start: ${mirror.output}`, { cause: error });
      });
      if (isUp || options.mayFail === true) return mirror;
      await mirror[Symbol.asyncDispose]();
      // Another test has received the same port.
      if (attempt === 3 || !mirror.output.includes('is in use')) throw new Error(mirror.output);
    }
  }

  private constructor(home: string, port: number, adminPort: number, options: RunningMirrorOptions) {
    this.home = home;
    this.port = port;
    this.adminPort = adminPort;
    this.#options = options;
  }

  async #prepareAndStart(): Promise<boolean> {
    await this.#options.prepare?.(this);
    return this.#start();
  }

  async #start(): Promise<boolean> {
    const child = this.#spawn(['start']);
    this.#child = child;
    this.#exit = once(child, 'exit');
    let hasEnded = false;
    // All output has been read by then.
    child.once('close', () => (hasEnded = true));
    await waitFor(() => hasEnded || this.output.includes('docker pull'));
    return !hasEnded;
  }

  #spawn(args: readonly string[]) {
    const { workers = 1, openFiles, environment, host = '127.0.0.1', entrance = [] } = this.#options;
    const { HOME, PATH } = process.env;
    const limit = openFiles === undefined ? '' : `ulimit -n ${openFiles}; `;
    const started = ['/bin/sh', '-c', `${limit}exec "$0" "$@"`, process.execPath, BIN, ...args];
    const [command = '', ...others] = [...entrance, ...started];
    const child = spawn(command, others, {
      cwd: this.home,
      env: {
        HOME,
        PATH,
        ...COMPILED,
        HUBGATE_SERVER_LISTEN: `${host}:${this.port}`,
        HUBGATE_SERVER_ADMIN: `${host}:${this.adminPort}`,
        HUBGATE_SERVER_WORKERS: String(workers),
        REGISTRY_PROXY_REMOTEURL: 'http://127.0.0.1:1',
        ...environment,
      },
    });
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (this.output += chunk));
    return child;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Returns the process ids of all roles, or of one role. */
  async pids(role = ''): Promise<number[]> {
    const children = await readFile(`/proc/${this.pid}/task/${this.pid}/children`, 'utf8');
    const pids = children
      .split(' ')
      .filter((pid) => pid !== '')
      .map(Number);
    return pids.filter((pid) => commandLineOf(pid).includes(`--role\0${role}`));
  }

  /**
   * Runs another command in the same home. Returns what that command alone printed, because the mirror may
   * print at the same time.
   */
  run(...args: string[]): Promise<{ readonly code: unknown; readonly output: string }> {
    return this.runWith('', ...args);
  }

  /** Does the same, with a text as the standard input. */
  async runWith(
    input: string,
    ...args: string[]
  ): Promise<{ readonly code: unknown; readonly output: string }> {
    const child = this.#spawn(args);
    child.stdin.end(input);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
    const [code] = await once(child, 'close');
    return { code, output };
  }

  /** Sends one request to the public listener, on a new connection. */
  async ask(target: string, request: TestRequest = {}): Promise<TestResponse> {
    const ca = await readFile(path.join(this.home, 'certs/ca.crt'), 'utf8');
    const { host = 'localhost' } = this.#options;
    const options = { host, servername: 'localhost', port: this.port, ca, agent: false, path: target };
    return ask({ tls: true, ...options, ...request });
  }

  /** Sends one request to the admin listener. */
  admin(target: string): Promise<TestResponse> {
    const { host = '127.0.0.1' } = this.#options;
    return ask({ host, port: this.adminPort, path: target, agent: false });
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** Starts the mirror again after it was stopped, in the same home and on the same ports. */
  async startAgain(): Promise<void> {
    this.output = '';
    if (!(await this.#start())) throw new Error(`the mirror does not start again: ${this.output}`);
  }

  /** Stops the mirror, and returns the exit code. */
  async stop(): Promise<unknown> {
    this.signal('SIGTERM');
    return (await this.#exit)?.[0];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child?.exitCode === null && this.#child.signalCode === null) {
      for (const pid of await this.pids()) signalIfRunning(pid, 'SIGCONT');
      await this.stop();
    }
    await rm(this.home, { recursive: true });
  }
}

/** Signals a process that may have ended meanwhile: a supervisor replaces a role that is frozen for long. */
export function signalIfRunning(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!isErrno(error, 'ESRCH')) throw error;
  }
}

/** Returns how often the main thread of a process went to sleep to wait for something. */
export async function sleepsOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status)?.[1]);
}

/** Returns nothing for a process that has ended meanwhile. */
function commandLineOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH')) return '';
    throw error;
  }
}
