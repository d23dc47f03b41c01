import { mkdtemp, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Digest } from '../../../src/registry/digest.ts';
import type { Random } from '../../crash/support/random.ts';
import type { RunningHubgate } from '../../e2e/support/hubgate.ts';
import { roleProcesses } from '../../e2e/support/role-pids.ts';
import { ask } from '../../support/http.ts';
import { waitFor } from '../../support/wait-for.ts';
import { isImmutableTag, settle, short } from './oracle.ts';
import type { PushSurroundings } from './surroundings.ts';
import { UNDO } from './times.ts';

/** The part of the time in which roles are killed. In the rest, the slopes of their memory can be seen. */
const KILLING = 0.6;
/** The namespace with a quota, and its bytes. */
export const SMALL = { name: 'small', quota: 2 * 2 ** 20 };

export interface PushOperatorOptions extends PushSurroundings {
  readonly hubgate: RunningHubgate;
  readonly adminPort: number;
  readonly random: Random;
  /** The length of the soak in milliseconds. */
  readonly length: number;
}

/** Does what an operator does, and what happens to them, each at its own interval. */
export async function operatePush(options: PushOperatorOptions): Promise<void> {
  const killsEnd = performance.now() + options.length * KILLING;
  await Promise.all([
    repeatedly(options, 3_000, 'tags restored', restoreTag),
    repeatedly(options, 4_000, 'immutable tags deleted by force', deleteByForce),
    repeatedly(options, 6_000, 'collections by hand', (given) =>
      askCore(given, 'POST', '/collect', { dryRun: false }),
    ),
    repeatedly(options, 10_000, 'quotas looked at', judgeQuota),
    repeatedly(options, 25_000, 'verbs run', runVerb),
    repeatedly(options, 60_000, 'backups', backUp),
    repeatedly(options, 30_000, 'roles killed', async (given) => {
      if (performance.now() < killsEnd) await killRole(given);
    }),
  ]);
}

type Act = (options: PushOperatorOptions) => Promise<unknown>;

async function repeatedly(
  options: PushOperatorOptions,
  interval: number,
  what: string,
  act: Act,
): Promise<void> {
  const { signal, random, findings, outages } = options;
  while (!signal.aborted) {
    await delay(interval / 2 + random.below(interval), undefined, { signal }).catch(() => {});
    if (signal.aborted) return;
    const from = performance.now();
    try {
      await act(options);
      findings.count(what);
    } catch (error) {
      if (outages.since(from)) findings.count(`failed after a kill: ${what}`);
      else findings.anomaly(`an operator's action failed: ${what}`, (error as Error).message);
    }
  }
}

/** Asks the core what the verbs ask it. @throws if it does not answer */
export async function askCore(
  { hubgate }: Pick<PushOperatorOptions, 'hubgate'>,
  method: 'GET' | 'POST',
  resource: string,
  body?: object,
): Promise<unknown> {
  const answer = await ask({
    ...{
      socketPath: path.join(hubgate.home, 'run/core/core.sock'),
      method,
      path: `/hosted-repositories${resource}`,
    },
    ...(body && { send: JSON.stringify(body) }),
  });
  if (answer.status !== 200) throw new Error(`${resource}: ${answer.status} ${answer.body}`);
  return JSON.parse(answer.body.toString());
}

/** What the core says to the restoration or the deletion of a tag. */
type Changed =
  | { readonly kind: 'restored' | 'gone'; readonly digest: Digest }
  | { readonly kind: 'unchanged' | 'removed' | 'unknown' | 'refused' };

async function restoreTag(options: PushOperatorOptions): Promise<void> {
  const { repositories, random, oracle, findings } = options;
  const { name, tags } = random.pick(repositories);
  const tag = random.pick(tags);
  const register = oracle.tag(name, tag);
  const { changedAt } = register;
  const write = register.begin('any');
  let said: Changed;
  try {
    said = (await askCore(options, 'POST', '/restore-tag', { repository: name, tag })) as Changed;
  } catch (error) {
    settle([write], 'lost');
    throw error;
  }
  findings.count(`restorations of a tag: ${said.kind}`);
  if (said.kind === 'restored') return write.done(said.digest);
  write.refused();
  const isRecent = performance.now() - changedAt < UNDO / 2;
  if (said.kind === 'gone' && isRecent && !oracle.isDeletedSince(name, said.digest, changedAt))
    findings.anomaly(
      'a tag that was just changed cannot be restored',
      `${name}:${tag} to ${short(said.digest)}`,
    );
}

async function deleteByForce(options: PushOperatorOptions): Promise<void> {
  const { repositories, random, oracle, findings } = options;
  const { name, tags } = random.pick(repositories);
  const tag = random.pick(tags.filter(isImmutableTag));
  const write = oracle.tag(name, tag).begin(null);
  let said: Changed;
  try {
    said = (await askCore(options, 'POST', '/delete', {
      repository: name,
      reference: tag,
      force: true,
    })) as Changed;
  } catch (error) {
    settle([write], 'lost');
    throw error;
  }
  settle([write], said.kind === 'removed' ? 'done' : 'refused');
  if (said.kind === 'refused') findings.anomaly('a deletion by force was refused', `${name}:${tag}`);
}

async function judgeQuota(options: PushOperatorOptions): Promise<void> {
  const listed = (await askCore(options, 'GET', '')) as { namespaces: { name: string; bytes: number }[] };
  const { bytes = 0 } = listed.namespaces.find(({ name }) => name === SMALL.name) ?? {};
  if (bytes > SMALL.quota) options.findings.anomaly('a quota is exceeded', `${bytes} of ${SMALL.quota}`);
}

async function runVerb({ hubgate, random, repositories }: PushOperatorOptions): Promise<void> {
  await hubgate.run(
    ...random.pick([
      ['hosted', 'list'],
      ['hosted', 'gc', '--dry-run'],
      ['hosted', 'gc'],
      ['hosted', 'tags', random.pick(repositories).name],
      ['hosted', 'verify'],
    ]),
  );
}

async function backUp({ hubgate }: PushOperatorOptions): Promise<void> {
  const directory = await mkdtemp(path.join(hubgate.home, 'backup-'));
  try {
    await hubgate.run('hosted', 'backup', directory);
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** Kills the core or auth, and waits until it is back. */
async function killRole({
  hubgate,
  adminPort,
  random,
  outages,
  findings,
}: PushOperatorOptions): Promise<void> {
  const running = await roleProcesses(hubgate.pid);
  const { role, pid } = random.pick(running.filter((one) => one.role === 'core' || one.role === 'auth'));
  const isBack = outages.begin(role);
  process.kill(pid, 'SIGKILL');
  findings.count(`roles killed: ${role}`);
  await waitFor(async () => {
    const other = (await roleProcesses(hubgate.pid)).some((one) => one.role === role && one.pid !== pid);
    return other && (await isReady(adminPort));
  });
  isBack();
}

export async function isReady(adminPort: number): Promise<boolean> {
  try {
    const answer = await fetch(`http://127.0.0.1:${adminPort}/readyz`);
    await answer.arrayBuffer();
    return answer.status === 200;
  } catch {
    return false;
  }
}
