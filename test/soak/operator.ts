import { readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { editUsers } from '../../src/auth/identity/users-file.ts';
import { ensureServerCertificate } from '../../src/pki/local-ca.ts';
import type { Random } from '../crash/support/random.ts';
import type { RunningHubgate } from '../e2e/support/hubgate.ts';
import { roleProcesses } from '../e2e/support/role-pids.ts';
import type { Catalogue } from './catalogue.ts';
import type { Disruptions } from './disruptions.ts';
import type { Findings } from './findings.ts';
import type { Oracle } from './oracle.ts';
import { policyText, randomPolicy } from './policy.ts';
import { issueCertificate, type Principal } from './principals.ts';

/** Invariant 13 allows a second; the rest is for a machine that also runs the soak. */
const GRACE = 3_000;
const GRACE_AFTER_KILL = 20_000;

export interface OperatorOptions {
  readonly hubgate: RunningHubgate;
  readonly principals: readonly Principal[];
  readonly catalogue: Catalogue;
  readonly oracle: Oracle;
  readonly findings: Findings;
  readonly disruptions: Disruptions;
  readonly random: Random;
  readonly signal: AbortSignal;
  /** Milliseconds. */
  readonly tagFreshness: number;
}

/** Does what an operator does, and what happens to them, each at its own interval. */
export async function operate(options: OperatorOptions): Promise<void> {
  const { catalogue, tagFreshness } = options;
  await Promise.all([
    repeatedly(options, 5_000, 'policy edits', editPolicy),
    repeatedly(options, 6_000, 'accounts disabled and enabled', switchAccount),
    repeatedly(options, 30_000, 'certificates revoked', revokeCertificate),
    repeatedly(options, 45_000, 'roles killed', killRole),
    repeatedly(options, 60_000, 'audit logs rotated', rotateAuditLog),
    repeatedly(options, 75_000, 'server certificates replaced', replaceCertificate),
    repeatedly(options, 150_000, 'signing keys rotated', ({ hubgate }) => hubgate.run('keys', 'rotate')),
    repeatedly(options, 20_000, 'verbs run', runVerb),
    repeatedly(options, 4_000, 'tags moved', async () => catalogue.moveTag(tagFreshness + GRACE)),
  ]);
}

async function repeatedly(
  options: OperatorOptions,
  interval: number,
  what: string,
  act: (options: OperatorOptions) => Promise<unknown>,
): Promise<void> {
  const { signal, random, findings } = options;
  while (!signal.aborted) {
    const wait = interval / 2 + random.below(interval);
    await delay(wait, undefined, { signal }).catch(() => {});
    if (signal.aborted) return;
    try {
      await act(options);
      findings.count(what);
    } catch (error) {
      findings.anomaly(`an operator's action failed: ${what}`, (error as Error).message);
    }
  }
}

async function editPolicy(options: OperatorOptions): Promise<void> {
  const { hubgate, principals, catalogue, oracle, random } = options;
  const file = path.join(hubgate.home, 'config/access.yaml');
  const write = async (text: string) => {
    await writeFile(`${file}.next`, text);
    await rename(`${file}.next`, file);
  };
  const policy = randomPolicy(catalogue.repositories, random);
  const text = policyText(policy, principals);
  // A file without its last line is half written, so it must change nothing.
  if (random.chance(0.1)) return write(text.replace('...\n', ''));
  oracle.policy.begin(policy);
  await write(text);
  oracle.policy.complete(grace(options));
}

async function switchAccount(options: OperatorOptions): Promise<void> {
  const { hubgate, principals, random } = options;
  const people = principals.filter(({ kind }) => kind === 'user' || kind === 'service');
  const { name, active } = random.pick(people);
  const isDisabled = active.current;
  active.begin(!isDisabled);
  const file = path.join(hubgate.home, 'config/users.yaml');
  await editUsers(file, () => new Map([[name, { isDisabled }]]));
  active.complete(grace(options));
}

async function revokeCertificate(options: OperatorOptions): Promise<void> {
  const { hubgate, principals, random } = options;
  const principal = random.pick(principals.filter(({ kind }) => kind === 'certificate'));
  principal.active.begin(false);
  const isConfirmed = await revoke(options, principal.name);
  principal.active.complete(isConfirmed ? grace(options) : GRACE_AFTER_KILL);
  await delay(2 * GRACE);
  principal.active.begin(true);
  await issueCertificate(hubgate, principal);
  principal.active.complete(grace(options));
}

/** Resolves to false if the mirror has not confirmed it in time, as while auth is started again. */
async function revoke({ hubgate, findings }: OperatorOptions, name: string): Promise<boolean> {
  try {
    await hubgate.run('cert', 'revoke', name);
    return true;
  } catch (error) {
    if (!/revoked, but the running mirror has not confirmed/.test((error as Error).message)) throw error;
    findings.count('certificates revoked without a confirmation');
    return false;
  }
}

/**
 * How long an earlier value may hold after a change. A role that was just killed reads the change when it is
 * back.
 */
function grace({ disruptions }: OperatorOptions): number {
  return disruptions.isRecent ? GRACE_AFTER_KILL : GRACE;
}

async function killRole(options: OperatorOptions): Promise<void> {
  const { hubgate, principals, oracle, disruptions, random } = options;
  const { role, pid } = random.pick(await roleProcesses(hubgate.pid));
  process.kill(pid, 'SIGKILL');
  disruptions.killed();
  options.findings.count(`roles killed: ${role}`);
  // A change that auth had not read yet is read when it is back.
  oracle.policy.excuse(GRACE_AFTER_KILL, GRACE_AFTER_KILL);
  for (const { active } of principals) active.excuse(GRACE_AFTER_KILL, GRACE_AFTER_KILL);
}

async function rotateAuditLog({ hubgate }: OperatorOptions): Promise<void> {
  const file = path.join(hubgate.home, 'state/audit.log');
  await rename(file, `${file}.${Date.now()}`);
  process.kill(hubgate.pid, 'SIGHUP');
}

async function replaceCertificate({ hubgate }: OperatorOptions): Promise<void> {
  const at = (name: string) => path.join(hubgate.home, 'certs', name);
  const names = await readFile(at('names'), 'utf8').catch(() => 'localhost');
  await ensureServerCertificate({
    ca: { certificate: at('ca.crt'), key: at('ca.key') },
    server: { certificate: at('next.crt'), key: at('next.key') },
    names: names.split(','),
    clock: Date.now,
  });
  await rename(at('next.key'), at('server.key'));
  await rename(at('next.crt'), at('server.crt'));
}

async function runVerb({ hubgate, random }: OperatorOptions): Promise<void> {
  const verbs = [
    ['user', 'list'],
    ['token', 'list'],
    ['cert', 'list'],
    ['cache', 'stats'],
    ['audit', '--since', '1m'],
  ];
  await hubgate.run(...random.pick(verbs));
}
