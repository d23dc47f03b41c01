import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { freePort } from '../../support/free-port.ts';
import { ask } from '../../support/http.ts';
import { basic } from '../../support/test-hubgate.ts';
import { waitFor } from '../../support/wait-for.ts';
import type { DaemonEnvironment } from './clients.ts';
import { mustRun, type RunningProcess, startProcess } from './process.ts';

const ROOT = path.join(import.meta.dirname, '../../..');
const BIN = path.join(ROOT, 'src/bin/hubgate.ts');

/** The number of gateways. The suite's configurations set it. */
export const WORKERS = 2;

/** Hubgate as it runs in production: its own processes, in a home of the suite. */
export interface RunningHubgate extends AsyncDisposable {
  /** The process id of its supervisor. */
  readonly pid: number;
  readonly home: string;
  readonly port: number;
  /** Returns everything that its processes have printed. */
  output(): string;
  addUser(name: string, password: string): Promise<void>;
  /** Runs one of its verbs, and returns what it prints. */
  run(...args: string[]): Promise<string>;
  /** Resolves when every process that uses the policy has read it. */
  setPolicy(rules: string): Promise<void>;
}

/** The address and the way of starting, if it is not on a free port of this machine. */
export interface HubgateOptions extends DaemonEnvironment {
  readonly address?: { readonly host: string; readonly port: number };
}

export async function startHubgate(
  home: string,
  config: (port: number) => string,
  { address, entrance = [], env = {} }: HubgateOptions = {},
): Promise<RunningHubgate> {
  const { host, port } = address ?? { host: 'localhost', port: await freePort() };
  const at = (name: string) => path.join(home, name);
  await writeFile(at('config/hubgate.yaml'), config(port));
  const [command = '', ...args] = [...entrance, process.execPath, BIN, 'start', '--home', home];
  const running: RunningProcess = await startProcess(command, args, {
    env,
    ready: (output) => output.includes('docker pull'),
  });
  return {
    pid: running.pid,
    home,
    port,
    output: running.output,
    async addUser(name, password) {
      await mustRun(process.execPath, [BIN, 'user', 'add', name, '--password-stdin', '--home', home], {
        stdin: password,
      });
      await waitFor(async () => (await ping({ host, port }, name, password)) === 200);
    },
    run: (...args) => mustRun(process.execPath, [BIN, ...args, '--home', home]),
    async setPolicy(rules) {
      const changes = () => running.output().split('access policy changed').length - 1;
      const before = changes();
      await writeFile(at('config/access.yaml'), `version: 1\n${rules}\n...\n`);
      await waitFor(() => changes() === before + WORKERS + 1);
    },
    [Symbol.asyncDispose]: () => running.stop(),
  };
}

async function ping(
  address: { readonly host: string; readonly port: number },
  name: string,
  password: string,
): Promise<number> {
  const headers = { authorization: basic(name, password) };
  const options = {
    tls: true,
    ...address,
    path: '/v2/',
    headers,
    agent: false,
    rejectUnauthorized: false,
  };
  return (await ask(options)).status;
}
