import assert from 'node:assert/strict';
import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { MountNamespace } from '../../crash/support/mount-namespace.ts';
import { type Result, run } from '../../e2e/support/process.ts';
import { hostsFile } from './network.ts';

/** A machine with its own `/etc` and trust store, on which nobody has configured a mirror yet. */
export interface Machine extends AsyncDisposable {
  /** A directory of its own, which is also the home of its user. */
  readonly root: string;
  readonly entrance: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Runs a command line as it is printed. */
  shell(line: string, options?: ShellOptions): Promise<Result>;
}

export interface ShellOptions {
  /** The directories whose programs come before those of the machine. */
  readonly programs?: readonly string[];
  readonly stdin?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** The time limit of a command that is slow on purpose. */
  readonly seconds?: number;
}

export interface MachineOptions {
  readonly root: string;
  /** The address of the Hub for this machine. */
  readonly hub: string;
  /** The authority of the Hub, which every machine trusts. */
  readonly authority: string;
}

/** The time limit of every other command. None needs as long, even if the machine is busy. */
const SECONDS = 100;

export async function makeMachine({ root, hub, authority }: MachineOptions): Promise<Machine> {
  const namespace = await MountNamespace.make();
  const at = (name: string) => path.join(root, name);
  await mkdir(at('home'), { recursive: true });
  await mkdir(at('authorities'));
  await namespace.run('cp', '--archive', '/etc', root);
  await namespace.run('mount', '--bind', at('etc'), '/etc');
  for (const configured of ['docker', 'containerd/certs.d', 'containers/certs.d', 'buildkit'])
    await namespace.run('rm', '-rf', `/etc/${configured}`);
  await writeFile(at('etc/hosts'), hostsFile(hub));
  await mkdir('/usr/local/share/ca-certificates', { recursive: true });
  await writeFile(at('authorities/hub.crt'), authority);
  await namespace.run('mount', '--bind', at('authorities'), '/usr/local/share/ca-certificates');
  await appendFile(at('etc/ssl/certs/ca-certificates.crt'), `\n${authority}`);
  const { entrance } = namespace;
  const [enter = '', ...into] = entrance;
  const env = { HOME: at('home'), XDG_RUNTIME_DIR: at('home'), NO_PROXY: '*' };
  return {
    ...{ root, entrance, env },
    shell(line, { programs = [], stdin = '', env: more = {}, seconds = SECONDS } = {}) {
      const limited = [...into, 'timeout', '--kill-after=5', `${seconds}`, 'sh', '-c', line];
      return run(enter, limited, { stdin, env: { ...env, PATH: pathWith(programs), ...more } });
    },
    [Symbol.asyncDispose]: () => namespace[Symbol.asyncDispose](),
  };
}

/** Returns a search path with these directories first. */
export function pathWith(directories: readonly string[]): string {
  return [...directories, process.env.PATH].join(':');
}

/** The kit of a client, as `hubgate client-config --json` prints it. */
export interface PrintedKit {
  readonly subject: string;
  readonly install: string | null;
  readonly files: readonly { readonly path: string; readonly written: string }[];
  readonly notes: Readonly<
    Record<'merge' | 'reload' | 'check' | 'notReached' | 'fallback', readonly string[]>
  >;
}

/** Puts the files of a kit in place with the command that the kit prints. */
export async function installKit({ entrance }: Machine, { install }: PrintedKit): Promise<void> {
  if (install === null) return;
  const { code, output } = await run('sh', ['-c', install.replaceAll('ssh root@NODE', entrance.join(' '))]);
  assert.equal(code, 0, output);
}

/** Returns the command in a line of a kit, without what the line says about the output. */
export function commandOf(line: string): string {
  return line.trim().split('   ')[0] ?? '';
}

/** Makes the machine trust the mirror with the command that the kit prints for it. */
export async function trustAsPrinted(machine: Machine, { notes }: PrintedKit): Promise<void> {
  const label = 'Debian, Ubuntu: ';
  const line = Object.values(notes)
    .flat()
    .find((one) => one.startsWith(label));
  assert.ok(line !== undefined, 'the kit does not say how to trust the mirror');
  const { code, output } = await machine.shell(line.slice(label.length));
  assert.equal(code, 0, output);
}
