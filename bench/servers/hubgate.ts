/**
 * Hubgate as it runs in production: its own processes, two gateways, TLS, tokens, a policy with rules, and
 * audit on.
 */
import { existsSync } from 'node:fs';
import { cp, lstat, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pathsIn } from '../../src/config/home.ts';
import { startHubgate, WORKERS } from '../../test/e2e/support/hubgate.ts';
import { freePort } from '../../test/support/free-port.ts';
import { ask } from '../../test/support/http.ts';
import { ACCOUNT } from '../../test/support/test-core.ts';
import { basic } from '../../test/support/test-hubgate.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import { PUSHED, REPOSITORY, scopeOf } from '../content.ts';
import { type PolicySize, policyRules } from '../policy.ts';
import type { BenchServer, ServerKind, StartOptions } from './server.ts';

export const USER = 'ana';
export const PASSWORD = 'correct horse battery staple';
const RULES = 100;

export interface HubgateServer extends BenchServer {
  readonly home: string;
  readonly adminPort: number;
  /** In seconds, from its start until it reported that it serves. */
  readonly startSeconds: number;
  /** Runs one of its verbs, and returns what it prints. */
  run(...args: string[]): Promise<string>;
}

export interface HubgateOptions extends StartOptions {
  /** The number of rules in the policy. */
  readonly rules?: number;
  readonly users?: number;
  /** True if the home was used before. */
  readonly again?: boolean;
  /** Sections of hubgate.yaml besides those that every measured server has. */
  readonly sections?: string;
  /** One more rule that allows something. */
  readonly rule?: string;
  /** Changes a new home before the start. */
  readonly prepared?: (home: string) => Promise<void>;
}

export const HUBGATE: ServerKind = {
  name: 'hubgate',
  about: `Hubgate with ${WORKERS} gateways, token auth, a policy of ${RULES} rules, audit on`,
  mirrors: true,
  missing: async () => undefined,
  start: startBenchHubgate,
};

/**
 * Starts Hubgate. Its content comes from pulls, as in production: the client that checks the digests first
 * has filled it.
 */
export async function startBenchHubgate(options: HubgateOptions): Promise<HubgateServer> {
  const { directory: home, rules = RULES, users = 1000, isPushedTo = false } = options;
  if (!options.again) await prepare(options);
  await options.prepared?.(home);
  const { rule } = options;
  const text = policyText({ rules, users }, isPushedTo);
  const policy = rule === undefined ? text : text.replace('\nallow:', `\nallow:\n  - ${rule}`);
  await writeFile(path.join(home, 'config/access.yaml'), policy);
  const adminPort = await freePort();
  const begun = performance.now();
  const running = await startHubgate(home, (port) => configuration(options, port, adminPort));
  const startSeconds = (performance.now() - begun) / 1000;
  // The account page starts after the mirror serves. What that costs does not belong to the first case.
  await waitFor(() => existsSync(pathsIn(home).accountSocket));
  const { pid, port } = running;
  return {
    name: 'hubgate',
    pid,
    port,
    home,
    adminPort,
    startSeconds,
    run: running.run,
    authorization: (repository) => tokenOf(port, repository),
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  };
}

function configuration(options: HubgateOptions, port: number, adminPort: number): string {
  const { directory, tls, upstream, isPushedTo, sections = '' } = options;
  const hosted = `hosted: { namespaces: { "${path.dirname(PUSHED)}/**": {} } }\n`;
  return `${isPushedTo ? hosted : ''}
server: { listen: "127.0.0.1:${port}", admin: "127.0.0.1:${adminPort}", workers: ${WORKERS} }
tls: { certificate: ${tls.certificate}, key: ${tls.key} }
upstreams:
  docker.io: { url: ${upstream.url.origin}, username: ${ACCOUNT.username}, passwordFile: ${directory}/password }
token: { refresh: 1d }
log: { format: json }
${sections}`;
}

/** One prepared home for each bench, which is identified by its certificate. */
const firstHomes = new Map<string, Promise<string>>();

/**
 * Prepares the home. A first start compiles, but a mirror has usually been started before. The first start
 * takes seconds and is done once: each home is a copy of the first one, without the cache.
 */
async function prepare(options: HubgateOptions): Promise<void> {
  const { certificate } = options.tls;
  const first = firstHomes.get(certificate) ?? startFirst(options, `${certificate}.home`);
  firstHomes.set(certificate, first);
  const from = await first;
  const filter = async (source: string) =>
    source !== path.join(from, 'data') && !(await lstat(source)).isSocket();
  await cp(from, options.directory, { recursive: true, filter });
}

async function startFirst(options: HubgateOptions, home: string): Promise<string> {
  await mkdir(path.join(home, 'config'), { recursive: true });
  await writeFile(path.join(home, 'password'), ACCOUNT.password, { mode: 0o600 });
  const inHome = { ...options, directory: home, isPushedTo: false, sections: '' };
  await using running = await startHubgate(home, (port) => configuration(inHome, port, 0));
  await running.addUser(USER, PASSWORD);
  return home;
}

/** Writes a policy in which one more rule grants the content that is measured. */
export function policyText(size: Omit<PolicySize, 'more'>, isPushedTo = false): string {
  const pull = '{ pull: "library/**", to: authenticated }';
  const push = `\n  - { push: ${PUSHED}, to: authenticated }`;
  return `version: 1\n${policyRules({ ...size, more: isPushedTo ? pull + push : pull })}\n...\n`;
}

async function tokenOf(port: number, repository = REPOSITORY): Promise<string> {
  const { status, body } = await ask({
    tls: true,
    host: 'localhost',
    port,
    path: `/token?service=bench&scope=${scopeOf(repository)}`,
    headers: { authorization: basic(USER, PASSWORD) },
    agent: false,
    rejectUnauthorized: false,
  });
  if (status !== 200) throw new Error(`no token: ${status} ${body}`);
  return `Bearer ${JSON.parse(body.toString()).token}`;
}
