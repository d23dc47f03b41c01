import { stat } from 'node:fs/promises';
import path from 'node:path';
import { compareLimits, type LimitChange, type LimitEntry } from '../../access/limit-changes.ts';
import { readFiles, readSources } from '../../access/load-policy.ts';
import type { Decision } from '../../access/policy.ts';
import type { PolicySource } from '../../access/policy-file.ts';
import {
  compare,
  compareFor,
  type DecisionChange,
  type RecordedPull,
  subjectsOf,
} from '../../access/replay.ts';
import { formatSubject } from '../../access/subject.ts';
import { readUsers } from '../../auth/identity/users-file.ts';
import type { Environment } from '../../config/environment.ts';
import { type HomePaths, pathsIn } from '../../config/home.ts';
import { policyContext } from '../../config/policy-context.ts';
import { loadOrPrint } from '../../launch/load.ts';
import { type ExitCode, printJson, printLine, type Terminal } from '../../launch/terminal.ts';
import { systemClock } from '../../platform/clock.ts';
import type { Parsed } from '../../platform/fault.ts';
import type { Action } from '../../registry/action.ts';
import { printTable } from '../table.ts';
import { auditedPulls } from './audited-pulls.ts';
import { knownRepositories } from './known.ts';
import { describeEntry, displayedEntry } from './limit-text.ts';
import { readPeopleGroups } from './people-groups.ts';
import { type AccessOptions, policyOf, valueOrPrint } from './policy.ts';
import { everythingKnown } from './population.ts';

export interface DiffOptions extends AccessOptions {
  /** True if all known users and repositories are compared, whether they were pulled or not. */
  readonly all?: boolean;
}

/**
 * Prints what an edit would newly allow or deny, for every subject and repository in the audit log, or for
 * all that are known. `edited` replaces the policy file of the same name, or `access.yaml` if there is none;
 * or it is a directory like `config`. Returns 0 if nothing changes, and 1 if something does.
 */
export async function diffAccess(
  edited: string,
  options: DiffOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const paths = pathsIn(options.home);
  const config = await loadOrPrint(paths, environment, terminal);
  const sources = valueOrPrint(await readSources(paths.policy), paths, terminal);
  const wanted = sources && valueOrPrint(await readEdited(edited, sources), paths, terminal);
  if (config === undefined || sources === undefined || wanted === undefined) return 2;
  const context = policyContext(config);
  const before = policyOf(sources, context, paths, terminal);
  const after = policyOf(wanted, context, paths, terminal);
  if (before === undefined || after === undefined) return 2;
  const policies = [before, after];
  const people = await readPeopleGroups(
    policies.map(({ policy }) => policy),
    { config, home: options.home, environment },
  );
  const pulls: RecordedPull[] = [];
  for await (const pull of auditedPulls(config.log.audit))
    pulls.push({ ...pull, groups: people.of(pull.subject) });
  const users =
    options.all === true ? valueOrPrint(await readUsers(paths.users), paths, terminal) : new Map();
  if (users === undefined) return 2;
  const repositories = options.all === true ? await knownRepositories(config, paths) : [];
  const everything = everythingKnown({ policies, users: users.values(), people, pulls, repositories });
  const changes =
    options.all === true
      ? compareFor(before.policy, after.policy, everything, systemClock())
      : compare(before.policy, after.policy, pulls, systemClock());
  const subjects = options.all === true ? everything.subjects : subjectsOf(pulls);
  const upstreams = config.upstreams.map(({ host }) => host);
  const limits = compareLimits(before.policy, after.policy, [...subjects], upstreams);
  if (options.json)
    printJson(terminal.stdout, [...changes.map(asJson), ...limits.map((one) => limitAsJson(one, paths))]);
  else printChanges(changes, limits, pulls.length, terminal);
  return changes.length + limits.length === 0 ? 0 : 1;
}

async function readEdited(
  edited: string,
  sources: readonly PolicySource[],
): Promise<Parsed<readonly PolicySource[]>> {
  const isDirectory = await stat(edited).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
  if (isDirectory) return readSources(path.resolve(edited, 'access.yaml'));
  const read = await readFiles([edited], process.cwd());
  if ('faults' in read) return read;
  const replaced =
    sources.find(({ label }) => path.basename(label) === path.basename(edited))?.label ?? 'access.yaml';
  const isThere = sources.some(({ label }) => label === replaced);
  const put = read.value.map((source) => ({ ...source, label: replaced }));
  return {
    value: isThere
      ? sources.flatMap((source) => (source.label === replaced ? put : [source]))
      : [...put, ...sources],
  };
}

function nameOf({ repository, tag }: DecisionChange['pull']): string {
  return `${repository.name}${tag === undefined ? '' : `:${tag}`}`;
}

function asJson({ action, subject, pull, address, before, after }: DecisionChange) {
  return {
    action,
    subject: formatSubject(subject),
    repository: pull.repository.name,
    tag: pull.tag ?? null,
    from: address === '' ? 'elsewhere' : (address ?? null),
    before,
    after,
  };
}

function limitAsJson({ kind, id, before, after, gained, lost }: LimitChange, paths: HomePaths) {
  const display = (entry: LimitEntry | undefined) =>
    entry === undefined ? null : displayedEntry(entry, paths);
  return { [kind]: id, before: display(before), after: display(after), gained, lost };
}

function printChanges(
  changes: readonly DecisionChange[],
  limits: readonly LimitChange[],
  pulls: number,
  { stdout }: Terminal,
): void {
  printTable(stdout, {
    heading: ['CHANGE', 'SUBJECT', 'IMAGE', 'FROM', 'RULES'],
    rows: changes.map(({ action, subject, pull, address, before, after }) => [
      ...[kindOf(action, before, after), formatSubject(subject), nameOf(pull), formatAddress(address)],
      `${formatDecision(before)} → ${formatDecision(after)}`,
    ]),
  });
  for (const change of limits) printLine(stdout, formatLimit(change));
  printLine(stdout, `differences: ${changes.length + limits.length}  audited pulls: ${pulls}`);
}

/** The most subjects that one line lists. */
const MOST_LISTED = 5;

function formatLimit({ kind, id, before, after, gained, lost }: LimitChange): string {
  const [was, is] = [before, after].map((entry) => (entry === undefined ? 'none' : describeEntry(entry)));
  const list = (subjects: readonly string[]) =>
    `${subjects.slice(0, MOST_LISTED).join(', ')}${subjects.length > MOST_LISTED ? ` and ${subjects.length - MOST_LISTED} more` : ''}`;
  return [
    `${kind} ${id}: ${was === is ? is : `${was} → ${is}`}`,
    ...(gained.length === 0 ? [] : [`newly for ${list(gained)}`]),
    ...(lost.length === 0 ? [] : [`no longer for ${list(lost)}`]),
  ].join('; ');
}

function formatAddress(address: string | undefined): string {
  return address === '' ? 'elsewhere' : (address ?? '-');
}

function kindOf(action: Action, before: Decision, after: Decision): string {
  if (before.decision === after.decision) return 'private';
  const kind = after.decision === 'allow' ? 'allowed' : 'denied';
  return action === 'pull' ? kind : `${action} ${kind}`;
}

function formatDecision(decision: Decision): string {
  const { rule = 'no rule' } = decision;
  return decision.decision === 'allow' && decision.private ? `${rule} (private: true)` : rule;
}
