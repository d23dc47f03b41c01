import { cpus, release, totalmem } from 'node:os';
import { run } from '../test/e2e/support/process.ts';
import { inPeers } from './servers/peers.ts';

/** The machine and the versions with which the figures were measured. */
export interface Machine {
  readonly cpu: string;
  readonly memory: string;
  readonly kernel: string;
  readonly programs: Readonly<Record<string, string>>;
}

const VERSIONS: Readonly<Record<string, readonly [string | undefined, ...string[]]>> = {
  'docker-registry': ['docker-registry', '--version'],
  registry3: [inPeers('registry'), '--version'],
  zot: [inPeers('zot'), '--version'],
  nginx: ['nginx', '-v'],
  wrk: ['wrk', '-v'],
  openssl: ['openssl', 'version'],
};

export async function describeMachine(): Promise<Machine> {
  const programs: Record<string, string> = {
    node: `${process.version}, OpenSSL ${process.versions.openssl}`,
  };
  for (const [name, [command, ...args]] of Object.entries(VERSIONS)) {
    if (command === undefined) continue;
    const said = await run(command, args).catch(() => undefined);
    const version = said?.output.split('\n')[0]?.replace(/^.*\/([\w.-]+) (?=\S)/, '$1 ');
    if (version) programs[name] = version;
  }
  const all = cpus();
  return {
    cpu: `${all.length} × ${all[0]?.model ?? 'unknown'}`,
    memory: `${(totalmem() / 2 ** 30).toFixed(0)} GiB`,
    kernel: `Linux ${release()}`,
    programs,
  };
}
