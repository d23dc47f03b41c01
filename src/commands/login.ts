import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import type { ExitCode, Terminal } from '../launch/terminal.ts';

/** The program is a file by itself, so that laptops need nothing else of Hubgate. */
const HELPER = path.join(import.meta.dirname, '../../bin/docker-credential-hubgate.cjs');

export interface MachineLoginOptions {
  /** The file with the certificate of the mirror's CA. */
  readonly ca?: string;
  readonly caSha256?: string;
  /** The name of the token. */
  readonly machine?: string;
  readonly keychain?: string;
}

/** Logs this machine in to a mirror, as somebody approves it in a browser. */
export async function logInToMirror(
  host: string,
  { ca, caSha256, machine, keychain }: MachineLoginOptions,
  env: Readonly<NodeJS.ProcessEnv>,
  { stdout, stderr }: Pick<Terminal, 'stdout' | 'stderr'>,
): Promise<ExitCode> {
  const given = { '--ca': ca, '--ca-sha256': caSha256, '--machine': machine, '--keychain': keychain };
  const flags = Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [name, value]));
  const child = spawn(process.execPath, [HELPER, 'login', host, ...flags], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stdout.pipe(stdout, { end: false });
  child.stderr.pipe(stderr, { end: false });
  const [code] = await once(child, 'close');
  return code === 0 || code === 2 ? code : 1;
}
