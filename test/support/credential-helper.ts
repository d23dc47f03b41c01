/** The credential helper of laptops, run as docker and podman run it, with a home of its own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';

const HELPER = path.join(import.meta.dirname, '../../bin/docker-credential-hubgate.cjs');

export interface HelperResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Laptop extends AsyncDisposable {
  readonly home: string;
  /** A directory of programs; the only one on its PATH. */
  readonly programs: string;
  /**
   * Calls the helper with what is on its standard input. `said` is called with all that it has printed so
   * far.
   */
  call(args: readonly string[], input?: string, said?: (stderr: string) => void): Promise<HelperResult>;
}

/** Makes a machine on which nobody has logged in anywhere. */
export async function makeLaptop(env: Readonly<Record<string, string>> = {}): Promise<Laptop> {
  const home = await mkdtemp(path.join(tmpdir(), 'hubgate-laptop-'));
  const programs = path.join(home, 'bin');
  await mkdir(programs);
  for (const program of ['sh', 'cat', 'rm'])
    await symlink(path.join('/bin', program), path.join(programs, program));
  return {
    home,
    programs,
    async call(args, input = '', said = () => {}) {
      const child = spawn(process.execPath, [HELPER, ...args], {
        env: { HOME: home, PATH: programs, ...env },
        stdio: ['pipe', 'pipe', 'pipe'],
      });
      // A helper that is called wrongly reads nothing.
      child.stdin.on('error', () => {});
      child.stdin.end(input);
      let stderr = '';
      child.stderr.setEncoding('utf8').on('data', (chunk) => {
        stderr += chunk;
        said(stderr);
      });
      const [stdout, [code]] = await Promise.all([text(child.stdout), once(child, 'close')]);
      return { code, stdout, stderr };
    },
    [Symbol.asyncDispose]: () => rm(home, { recursive: true, force: true }),
  };
}

/** Adds a keychain like docker's helpers: a program that stores one text. `kept` is how it stores. */
export async function addKeychain({ programs }: Laptop, name: string, kept: string): Promise<void> {
  const script = `#!/bin/sh
case $1 in
  store) ${kept} ;;
  get) cat "$HOME/keychain" 2> /dev/null || exit 1 ;;
  erase) rm "$HOME/keychain" ;;
esac
`;
  await writeFile(path.join(programs, `docker-credential-${name}`), script, { mode: 0o755 });
}
