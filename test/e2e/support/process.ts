import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

/** A server that was started for the suite, and is stopped by its process id. */
export interface RunningProcess extends AsyncDisposable {
  readonly pid: number;
  /** Returns everything that it has printed. */
  output(): string;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

export interface ProcessOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Open files that the process receives as its descriptors from 3 on. */
  readonly pass?: readonly number[];
  /** Returns true if it serves. It is called again and again until then. */
  readonly ready: (output: string) => boolean | Promise<boolean>;
}

const START_DEADLINE = 180_000;

export async function startProcess(
  command: string,
  args: readonly string[],
  options: ProcessOptions,
): Promise<RunningProcess> {
  const child = spawn(command, args, {
    ...(options.cwd !== undefined && { cwd: options.cwd }),
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe', ...(options.pass ?? [])],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk) => {
      output += chunk;
    });
  }
  const running = runningProcess(child, () => output);
  const end = performance.now() + START_DEADLINE;
  while (!(await options.ready(output))) {
    if (child.exitCode !== null || child.signalCode !== null || performance.now() > end) {
      await running.stop('SIGKILL');
      throw new Error(`${command} does not start:\n${output}`);
    }
    await delay(50);
  }
  return running;
}

function runningProcess(child: ChildProcess, output: () => string): RunningProcess {
  const exited = once(child, 'exit');
  const stop = async (signal: NodeJS.Signals = 'SIGTERM') => {
    child.kill(signal);
    await exited;
  };
  return { pid: child.pid ?? 0, output, stop, [Symbol.asyncDispose]: () => stop() };
}

export interface Result {
  readonly code: number;
  /** Standard output and error, in the order in which they came. */
  readonly output: string;
}

/** Runs a command to its end. */
export async function run(
  command: string,
  args: readonly string[],
  { stdin = '', env = {} }: { readonly stdin?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<Result> {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: 'pipe' });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      output += chunk;
    });
  }
  child.stdin.on('error', () => {});
  child.stdin.end(stdin);
  const [code] = await once(child, 'close');
  return { code: code ?? -1, output };
}

/** Runs a command to its end; anything except success is a failure of the suite. */
export async function mustRun(...args: Parameters<typeof run>): Promise<string> {
  const { code, output } = await run(...args);
  if (code !== 0) throw new Error(`${args[0]} ${args[1].join(' ')} ends with ${code}:\n${output}`);
  return output;
}
