import { once } from 'node:events';
import { chmod, chown, copyFile, cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { freePort } from '../../support/free-port.ts';
import { mustRun, type RunningProcess, run, startProcess } from './process.ts';

const ROOT = path.join(import.meta.dirname, '../../..');
const INTRUDER = path.join(import.meta.dirname, '../../support/fixtures/intruder.mjs');

/** Ids that no system assigns. Each user has a group with the same number, and no other group. */
export const USERS = { core: 61_001, auth: 61_002, gateway: 61_003, stranger: 61_004 } as const;
export type UserName = keyof typeof USERS;
type RoleName = Exclude<UserName, 'stranger'>;

/** A program and a home whose three roles run as users of their own, as docs/systemd.md says. */
export class Apart implements AsyncDisposable {
  readonly root: string;
  readonly port: number;
  readonly adminPort: number;
  readonly roles = new Map<RoleName, RunningProcess>();

  static async make(): Promise<Apart> {
    const apart = new Apart(
      await mkdtemp(path.join(tmpdir(), 'hubgate-apart-')),
      await freePort(),
      await freePort(),
    );
    await chmod(apart.root, 0o755);
    await apart.#install();
    await apart.#layOut();
    return apart;
  }

  private constructor(root: string, port: number, adminPort: number) {
    this.root = root;
    this.port = port;
    this.adminPort = adminPort;
  }

  get home(): string {
    return path.join(this.root, 'home');
  }

  /** Installs a copy that every user can reach, wherever the checkout is. */
  async #install(): Promise<void> {
    const program = path.join(this.root, 'program');
    await mkdir(program, { mode: 0o755 });
    for (const part of ['src', 'package.json'])
      await cp(path.join(ROOT, part), path.join(program, part), { recursive: true });
    // The packages have hundreds of megabytes, so they are linked if possible.
    const modules = [path.join(ROOT, 'node_modules'), path.join(program, 'node_modules')];
    const linked = await run('cp', ['--archive', '--link', ...modules]);
    if (linked.code !== 0) await mustRun('cp', ['--archive', '--force', ...modules]);
    await copyFile(process.execPath, path.join(this.root, 'node'));
    await copyFile(INTRUDER, path.join(this.root, 'intruder.mjs'));
    await mustRun('chmod', ['-R', 'go+rX', this.root]);
  }

  async #layOut(): Promise<void> {
    const { core, auth, gateway } = USERS;
    const make = async (name: string, mode: number, uid = 0, gid = 0) => {
      const directory = path.join(this.home, name);
      await mkdir(directory, { recursive: true });
      await chown(directory, uid, gid);
      await chmod(directory, mode);
    };
    await make('', 0o755);
    await make('run', 0o755);
    await make('config', 0o1775, 0, auth);
    await make('certs', 0o2750, 0, gateway);
    await make('state', 0o700, auth, auth);
    await make('data', 0o2750, core, gateway);
    await make('run/core', 0o2750, core, gateway);
    await make('run/auth', 0o2750, auth, gateway);
    await make('run/gateway', 0o750, gateway, gateway);
    await make('log', 0o750, gateway, gateway);
  }

  async write(file: string, text: string, mode: number, owner: UserName | 'root' = 'root'): Promise<void> {
    const at = path.join(this.home, file);
    await writeFile(at, text);
    const id = owner === 'root' ? 0 : USERS[owner];
    await chown(at, id, id);
    await chmod(at, mode);
  }

  /** Runs one of its verbs as a user of the machine. */
  hubgate(user: UserName | 'root', args: readonly string[], stdin = ''): Promise<string> {
    const command = [...this.#as(user), ...this.#program(args)];
    return mustRun(command[0] ?? '', command.slice(1), { stdin });
  }

  async start(role: RoleName, ready: () => boolean | Promise<boolean>): Promise<RunningProcess> {
    const [command = '', ...args] = [...this.#as(role), ...this.#program(['start', '--role', role])];
    const running = await startProcess(command, args, { ready });
    this.roles.set(role, running);
    return running;
  }

  /**
   * Starts the gateway in a network namespace of its own that contains nothing, not even a loopback that is
   * up. It receives its two listening sockets as sd_listen_fds(3) says.
   */
  async startWithoutNetwork(ready: () => boolean | Promise<boolean>): Promise<RunningProcess> {
    const sockets = await Promise.all([this.port, this.adminPort].map(listeningAt));
    const command = [...this.#as('gateway'), ...this.#program(['start', '--role', 'gateway'])];
    const script = 'LISTEN_PID=$$ LISTEN_FDS=2 exec unshare --net "$0" "$@"';
    const running = await startProcess('/bin/sh', ['-c', script, ...command], {
      ready: () => {
        // The sockets have been passed on. Any other process that has them open would accept connections too.
        for (const { close } of sockets) close();
        return ready();
      },
      pass: sockets.map(({ fd }) => fd),
    });
    this.roles.set('gateway', running);
    return running;
  }

  /** Makes attempts such as `read FILE` or `signal PID`, and returns for each `done` or an error's code. */
  async attempt(user: UserName, attempts: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const [command = '', ...args] = this.#as(user);
    const script = [path.join(this.root, 'node'), path.join(this.root, 'intruder.mjs')];
    const output = await mustRun(command, [...args, ...script, ...attempts]);
    return new Map(Object.entries(JSON.parse(output) as Record<string, string>));
  }

  #as(user: UserName | 'root'): string[] {
    if (user === 'root') return ['env'];
    const id = String(USERS[user]);
    return ['setpriv', '--reuid', id, '--regid', id, '--clear-groups', '--no-new-privs'];
  }

  #program(args: readonly string[]): string[] {
    return [
      path.join(this.root, 'node'),
      path.join(this.root, 'program/src/bin/hubgate.ts'),
      ...args,
      '--home',
      this.home,
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const running of [...this.roles.values()].toReversed()) await running.stop();
    await rm(this.root, { recursive: true });
  }
}

async function listeningAt(port: number): Promise<{ readonly fd: number; close(): void }> {
  const server = createServer();
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  // Node has no public name for it.
  const { fd } = (server as unknown as { readonly _handle: { readonly fd: number } })._handle;
  return { fd, close: () => server.close() };
}
