/** The machine of a person, with the credential helper, docker's CLI and podman. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { StoredToken } from '../../../src/auth/state/auth-state.ts';
import { Browser } from '../../support/browser.ts';
import type { TestHubgate } from '../../support/test-hubgate.ts';
import { type Result, run } from './process.ts';

const ROOT = path.join(import.meta.dirname, '../../..');
const HUBGATE = path.join(ROOT, 'src/bin/hubgate.ts');
const HELPER = path.join(ROOT, 'bin/docker-credential-hubgate.cjs');

/** The mirror, and who logs in there. */
export interface Owner {
  readonly hubgate: TestHubgate;
  readonly name: string;
  readonly password: string;
}

/** It has a home, and the helper on its PATH. */
export interface Machine {
  readonly home: string;
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Makes a machine in an empty directory that trusts the mirror. `docker` is the directory of a running
 * dockerd.
 */
export async function makeMachine(
  home: string,
  { hubgate }: Pick<Owner, 'hubgate'>,
  docker: string,
): Promise<Machine> {
  const programs = path.join(home, 'bin');
  await mkdir(programs, { recursive: true });
  await symlink(HELPER, path.join(programs, 'docker-credential-hubgate'));
  await symlink(process.execPath, path.join(programs, 'node'));
  const runtime = path.join(home, 'runtime');
  await mkdir(runtime, { mode: 0o700 });
  await writeFile(path.join(home, 'ca.crt'), hubgate.ca);
  return {
    home,
    env: {
      ...{ HOME: home, PATH: `${programs}:/usr/sbin:/usr/bin:/sbin:/bin` },
      ...{ XDG_RUNTIME_DIR: runtime, XDG_CONFIG_HOME: path.join(home, '.config') },
      ...{ DOCKER_HOST: `unix://${docker}/docker.sock`, DOCKER_CONFIG: path.join(home, '.docker') },
    },
  };
}

/** Approves the machine that shows this code, on the page. */
async function approve(code: string, { hubgate, name, password }: Owner): Promise<void> {
  const browser = new Browser(hubgate);
  assert.equal((await browser.logIn(name, password)).status, 303);
  const page = `/account/device?user_code=${code}`;
  assert.equal((await browser.get(page)).status, 200);
  const form = { csrf: await browser.csrf(page), user_code: code, decision: 'approve' };
  assert.equal((await browser.post('/account/device/decide', form)).status, 200);
}

/** Runs `hubgate login`, and approves the machine as soon as it shows its code. Returns what it says. */
export async function logIn(
  { home, env }: Machine,
  owner: Owner,
  label: string,
  ...flags: string[]
): Promise<{ readonly token: StoredToken; readonly said: string }> {
  const { hubgate } = owner;
  const usual = ['--ca', path.join(home, 'ca.crt'), '--machine', label];
  const args = [HUBGATE, 'login', `localhost:${hubgate.port}`, ...usual, ...flags];
  const child = spawn(process.execPath, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  let approved: Promise<void> | undefined;
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk) => {
      said += chunk;
      const [, code] = /type the code (\S+)\. It counts/.exec(said) ?? [];
      if (code !== undefined) approved ??= approve(code, owner);
    });
  const [code] = await once(child, 'close');
  await approved;
  assert.equal(code, 0, said);
  await using state = hubgate.openState();
  const token = (await state.tokens()).find((one) => one.label === label);
  return { token: token ?? assert.fail(`there is no token of ${label}`), said };
}

/** Returns the file in which the helper records a login at this mirror. */
export function recordOf({ port }: Pick<TestHubgate, 'port'>): string {
  return `.config/hubgate/logins/${encodeURIComponent(`localhost:${port}`)}.json`;
}

/** Returns the files of a machine that contain a text, without those of storages. */
export async function filesWith({ home }: Machine, text: string): Promise<string[]> {
  const entries = await readdir(home, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(home, path.join(entry.parentPath, entry.name)))
    .filter((file) => !file.startsWith('storage/'));
  const found: string[] = [];
  for (const file of files) {
    const content = await readFile(path.join(home, file), 'latin1');
    if (content.includes(text) || content.includes(Buffer.from(`zoe:${text}`).toString('base64')))
      found.push(file);
  }
  return found;
}

export function runDocker({ env }: Machine, ...args: string[]): Promise<Result> {
  return run('docker', args, { env });
}

export function runPodman({ home, env }: Machine, ...args: string[]): Promise<Result> {
  const at = (part: string) => path.join(home, 'storage', part);
  const storage = ['--root', at('root'), '--runroot', at('run'), '--storage-driver', 'vfs'];
  return run('podman', [...storage, ...args], { env });
}

/** Pulls by podman, which reads the mirror's CA from a directory. */
export async function pullByPodman(machine: Machine, image: string): Promise<Result> {
  const certificates = path.join(machine.home, 'certificates');
  await mkdir(certificates, { recursive: true });
  await writeFile(path.join(certificates, 'ca.crt'), await readFile(path.join(machine.home, 'ca.crt')));
  return runPodman(machine, 'pull', '--cert-dir', certificates, image);
}
