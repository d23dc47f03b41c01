import path from 'node:path';
import { readPolicy, readSources } from '../access/load-policy.ts';
import type { Policy } from '../access/policy.ts';
import { lintFederations, lintUncounted } from '../access/policy-lint.ts';
import { lintNames } from '../access/policy-names.ts';
import { readUsers, type Users } from '../auth/identity/users-file.ts';
import type { Config } from '../config/config.ts';
import { describeEgress } from '../config/egress.ts';
import type { Environment } from '../config/environment.ts';
import { type HomePaths, inHome, pathsIn } from '../config/home.ts';
import { hostedNames } from '../config/hosted.ts';
import { loadConfig } from '../config/load-config.ts';
import { policyContext } from '../config/policy-context.ts';
import { examineHome } from '../launch/examine-home.ts';
import { printFaults, printWarnings } from '../launch/load.ts';
import { secretFilesOf } from '../launch/secret-files.ts';
import { type ExitCode, printJson, printLine, type Terminal } from '../launch/terminal.ts';
import { systemClock } from '../platform/clock.ts';
import { byPosition, type Fault, type Parsed } from '../platform/fault.ts';
import { readIfPresent } from '../platform/regular-file.ts';
import { tooOpen } from '../platform/secret-file.ts';
import { parseYaml } from '../platform/yaml/yaml-document.ts';
import { AUTH_STATUS } from '../protocol/auth-api.ts';
import { knownRepositories } from './access/known.ts';
import { askRole } from './ask-role.ts';
import { hostedCollisions } from './hosted-collisions.ts';

export interface CheckOptions {
  readonly home: string;
  readonly json: boolean;
}

/** Reports everything that is wrong with the hand-written files, and changes nothing. */
export async function check(
  options: CheckOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const paths = pathsIn(options.home);
  const config = await loadConfig({
    directory: paths.home,
    environment,
    readsSecrets: true,
    servesClients: true,
    judgesModes: true,
  });
  const users = await readUsers(paths.users);
  const results: readonly Parsed<unknown>[] = [
    config,
    ...('value' in config ? await examined(config.value, paths) : []),
    { faults: await tooOpen(secretFilesOf('all', paths)) },
    await checkedPolicy(paths, config, users),
    users,
  ];
  const faults = sorted(
    results.flatMap((result) => ('faults' in result ? result.faults : [])),
    paths,
  );
  const warnings = sorted(
    results.flatMap((result) => ('value' in result ? (result.warnings ?? []) : [])),
    paths,
  );
  const refused = await refusedByMirror(paths).catch((error: Error) => {
    // A user who may not ask the mirror may not use its files either, and the faults about files say more.
    if (faults.length === 0) throw error;
    return null;
  });
  const proxy = 'value' in config ? describeEgress(config.value.egress) : '';
  if (options.json) printJson(terminal.stdout, { faults, warnings, refused, proxy: proxy || null });
  else print({ faults, warnings, refused, proxy }, terminal);
  return faults.length === 0 ? 0 : 2;
}

/** Adds the mistakes that can only be seen together with the configuration. */
async function checkedPolicy(
  paths: HomePaths,
  config: Parsed<Config>,
  users: Parsed<Users>,
): Promise<Parsed<unknown>> {
  const { policy } = paths;
  const federations = 'value' in config ? config.value.federations : [];
  const read = await readPolicy(
    policy,
    systemClock(),
    policyContext('value' in config ? config.value : { federations: [] }),
  );
  if ('faults' in read || 'faults' in config) return read;
  const collisions = await collisionsIn(paths, config.value, read.value.policy);
  if (collisions.length > 0) return { faults: collisions };
  const unknown = lintFederations(read.value.policy, new Set(federations.map(({ name }) => name)));
  const names = 'value' in users ? await doubtfulNames(paths, config.value, users.value) : [];
  const uncounted = config.value.coreUrl === undefined ? [] : lintUncounted(read.value.policy);
  return { ...read, warnings: [...(read.warnings ?? []), ...unknown, ...names, ...uncounted] };
}

/** Returns the namespaces that are hosted and mirrored, at their places in hubgate.yaml. */
async function collisionsIn(paths: HomePaths, config: Config, policy: Policy): Promise<readonly Fault[]> {
  if (config.hosted === undefined) return [];
  const source = path.join('config', 'hubgate.yaml');
  const text = (await readIfPresent(path.join(paths.home, source)))?.toString('utf8') ?? '';
  const read = parseYaml(source, text);
  return hostedCollisions(config.hosted, policy, await knownRepositories(config, paths), (name, message) =>
    'faults' in read
      ? { source, message }
      : read.yaml.faultAt(['hosted', 'namespaces', `${name}/**`], message, 'key'),
  );
}

async function doubtfulNames(paths: HomePaths, config: Config, users: Users): Promise<readonly Fault[]> {
  const sources = await readSources(paths.policy);
  if ('faults' in sources) return [];
  return lintNames(sources.value, {
    users: new Set(users.keys()),
    upstreams: new Set(config.upstreams.map(({ host }) => host)),
    hosted: hostedNames(config.hosted),
    mirror: new Set([...config.server.names, new URL(config.server.url).host]),
    repositories: await knownRepositories(config, paths),
  });
}

/** Returns the faults that would keep the mirror from starting, or clients from connecting. */
async function examined(config: Config, paths: HomePaths): Promise<readonly Parsed<unknown>[]> {
  const { faults, refusals, warnings } = await examineHome(config, paths, {
    role: undefined,
    isStart: false,
  });
  return [{ faults: [...faults, ...refusals] }, { value: config, warnings }];
}

function sorted(faults: readonly Fault[], paths: HomePaths): Fault[] {
  return faults.map((fault) => ({ ...fault, source: inHome(fault.source, paths) })).sort(byPosition);
}

/** Returns why the running mirror keeps an older policy; null if it does not, or if none runs here. */
async function refusedByMirror({ authSocket }: HomePaths): Promise<readonly string[] | null> {
  const said = await askRole(authSocket, { method: 'GET', path: '/status', schema: AUTH_STATUS });
  return typeof said === 'string' ? null : said.answer.policy.refused;
}

interface CheckFindings {
  readonly faults: readonly Fault[];
  readonly warnings: readonly Fault[];
  readonly refused: readonly string[] | null;
  /** Empty if there is no proxy. */
  readonly proxy: string;
}

function print({ faults, warnings, refused, proxy }: CheckFindings, terminal: Terminal): void {
  printFaults(faults, terminal);
  printWarnings(warnings, terminal);
  if (refused !== null) printRefused(refused, faults.length > 0, terminal);
  if (proxy !== '') printLine(terminal.stdout, `the proxy for upstreams and issuers: ${proxy}`);
  if (faults.length > 0) return;
  const found = warnings.length === 0 ? 'nothing is wrong' : `no mistakes; warnings: ${warnings.length}`;
  printLine(terminal.stdout, `hubgate.yaml, access.yaml and users.yaml: ${found}`);
}

/**
 * Prints the mirror's own reasons if `check` has found no mistake. The mirror read hubgate.yaml when it
 * started, so it can refuse rules that are right beside the present file.
 */
function printRefused(refused: readonly string[], isExplained: boolean, { stderr }: Terminal): void {
  printLine(stderr, 'the running mirror has refused access.yaml, and goes on with the last good one');
  if (isExplained) return;
  for (const why of refused) printLine(stderr, `  ${why}`);
  printLine(stderr, '  If hubgate.yaml has changed since the mirror started, restart the mirror.');
}
