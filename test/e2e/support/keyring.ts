/** A desktop session with GNOME's keyring: its own message bus, and a keyring that a password opens. */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { waitFor } from '../../support/wait-for.ts';
import { mustRun, run, startProcess } from './process.ts';

const PASSWORD = 'of the keyring\n';
const LOCK = [
  ...['--dest', 'org.freedesktop.secrets', '--object-path', '/org/freedesktop/secrets'],
  ...['--method', 'org.freedesktop.Secret.Service.Lock'],
];
const BUS = 'org.freedesktop.DBus';
const ASK_BUS = ['--dest', BUS, '--object-path', '/org/freedesktop/DBus', '--method'];
const NAME = 'org.freedesktop.secrets';
const COLLECTION = '/org/freedesktop/secrets/collection/login';
const SESSION = /session (\d+) (\S+) begins/;
const SHOW_SESSION = 'echo "session $$ $DBUS_SESSION_BUS_ADDRESS begins"; exec sleep infinity';

/** The keyring ends with the message bus of its session. */
export interface Keyring extends AsyncDisposable {
  /** What programs of the session have in their environment. */
  readonly env: Readonly<Record<string, string>>;
  lock(): Promise<void>;
  unlock(): Promise<void>;
}

/** Starts a session for the user with this environment. The keyring is locked, or rather not there yet. */
export async function startKeyring(user: Readonly<Record<string, string>>): Promise<Keyring> {
  const { HOME = '' } = user;
  await mkdir(path.join(HOME, '.local/share/keyrings'), { recursive: true, mode: 0o700 });
  const args = ['--', 'sh', '-c', SHOW_SESSION];
  const ready = (output: string) => SESSION.test(output);
  const session = await startProcess('dbus-run-session', args, { env: user, ready });
  const [, pid, address = ''] = SESSION.exec(session.output()) ?? [];
  const env = { ...user, DBUS_SESSION_BUS_ADDRESS: address };
  const call = (...more: string[]) => run('gdbus', ['call', '--session', ...more], { env });
  /** Unlike any other question, this one starts no keyring. */
  const owner = async () => (await call(...ASK_BUS, `${BUS}.GetNameOwner`, NAME)).output;
  return {
    env,
    async lock() {
      const { output } = await call(...LOCK, `[objectpath '${COLLECTION}']`);
      if (!output.includes(COLLECTION)) throw new Error(output);
    },
    async unlock() {
      const daemon = ['--replace', '--unlock', '--components=secrets'];
      const before = await owner();
      await mustRun('gnome-keyring-daemon', daemon, { stdin: PASSWORD, env });
      await waitFor(async () => {
        const now = await owner();
        return now.startsWith('(') && now !== before;
      });
    },
    async [Symbol.asyncDispose]() {
      // A keyring that was replaced has ended. The bus ends with the program that it was started for.
      const { output } = await call(...ASK_BUS, `${BUS}.GetConnectionUnixProcessID`, NAME);
      const daemon = /uint32 (\d+)/.exec(output)?.[1];
      if (daemon !== undefined) process.kill(Number(daemon));
      process.kill(Number(pid));
      // A signal that ends it would leave the bus behind.
      await session.stop('SIGCONT');
    },
  };
}
