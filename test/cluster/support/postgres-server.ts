/** A real PostgreSQL of the machine, with its own directory, on a free port of loopback. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { chown, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ensurePackages } from '../../e2e/support/packages.ts';
import { freePort } from '../../support/free-port.ts';
import { signalIfRunning } from '../../support/running-mirror.ts';
import { waitFor } from '../../support/wait-for.ts';

export interface PostgresServer extends AsyncDisposable {
  readonly port: number;
  readonly pid: number;
  /** Makes an empty database and returns its URL. */
  database(): Promise<string>;
  /** Runs a statement in the database `postgres`, or in the one of a URL. Returns what it prints. */
  run(sql: string, database?: string): string;
  /** Sends a signal to the server and to all its processes. */
  signal(name: NodeJS.Signals): void;
  /** Stops it at once, as a crash would, and starts it again on the same port. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

/** The account that runs the server when the tests run as root, because PostgreSQL refuses root. */
const ACCOUNT = 'postgres';

/** Starts a server that keeps what it commits, as in production. */
export async function startPostgres(): Promise<PostgresServer> {
  const programs = await programsOf();
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-postgres-'));
  const account = process.getuid?.() === 0 ? accountOf(ACCOUNT) : undefined;
  if (account !== undefined) await chown(directory, account.uid, account.gid);
  const options = { cwd: directory, ...account, encoding: 'utf8' } as const;
  const data = path.join(directory, 'data');
  const made = spawnSync(
    path.join(programs, 'initdb'),
    ['-D', data, '-U', 'hubgate', '--auth=trust', '--no-instructions', '-E', 'UTF8', '--locale=C'],
    options,
  );
  assert.equal(made.status, 0, made.stderr);
  const port = await freePort();
  let child: ChildProcess | undefined;
  let databases = 0;
  const psql = (sql: string, database = 'postgres') =>
    spawnSync(
      path.join(programs, 'psql'),
      [
        '-h',
        '127.0.0.1',
        '-p',
        String(port),
        '-U',
        'hubgate',
        '-d',
        database,
        '-v',
        'ON_ERROR_STOP=1',
        '-Atc',
        sql,
      ],
      options,
    );
  const start = async () => {
    child = spawn(
      path.join(programs, 'postgres'),
      ['-D', data, '-p', String(port), '-c', 'listen_addresses=127.0.0.1', '-c', `unix_socket_directories=`],
      { ...options, stdio: 'ignore' },
    );
    await waitFor(() => psql('SELECT 1').status === 0);
  };
  const stop = async () => {
    const ended = child;
    child = undefined;
    if (ended === undefined || ended.exitCode !== null) return;
    signalAll(ended.pid, 'SIGCONT');
    // SIGQUIT ends the server and all its processes at once, without a checkpoint.
    ended.kill('SIGQUIT');
    await once(ended, 'exit');
  };
  await start();
  return {
    port,
    get pid() {
      return child?.pid ?? 0;
    },
    run: (sql, database) => {
      const done = psql(sql, database?.split('/').at(-1));
      assert.equal(done.status, 0, done.stderr);
      return done.stdout;
    },
    database: async () => {
      const name = `d${++databases}`;
      const done = psql(`CREATE DATABASE ${name}`);
      assert.equal(done.status, 0, done.stderr);
      return `postgres://hubgate@127.0.0.1:${port}/${name}`;
    },
    signal: (name) => signalAll(child?.pid, name),
    stop,
    start,
    [Symbol.asyncDispose]: async () => {
      await stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** A process of one connection may have ended meanwhile. */
function signalAll(server: number | undefined, name: NodeJS.Signals): void {
  if (server === undefined) return;
  const children = readFileSync(`/proc/${server}/task/${server}/children`, 'utf8').split(' ');
  for (const pid of [server, ...children.filter((text) => text !== '').map(Number)])
    signalIfRunning(pid, name);
}

/** Debian keeps the programs of each version in a directory of their own. */
async function programsOf(): Promise<string> {
  const root = '/usr/lib/postgresql';
  if (process.getuid?.() === 0) await ensurePackages({ pg_lsclusters: 'postgresql' });
  const versions = await readdir(root).catch(() => []);
  const newest = versions.toSorted((a, b) => Number(b) - Number(a))[0];
  assert.ok(newest !== undefined, `no PostgreSQL in ${root}; as root: apt-get install postgresql`);
  return path.join(root, newest, 'bin');
}

function accountOf(name: string): { readonly uid: number; readonly gid: number } {
  const id = (flag: string) => Number(spawnSync('id', [flag, name], { encoding: 'utf8' }).stdout);
  return { uid: id('-u'), gid: id('-g') };
}
