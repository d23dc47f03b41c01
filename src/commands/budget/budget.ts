import type { PolicyData } from '../../access/policy-data.ts';
import { formatGroup, parseSubject, type Subject } from '../../access/subject.ts';
import { compileSubjects } from '../../access/subject-pattern.ts';
import type { Config } from '../../config/config.ts';
import type { Environment } from '../../config/environment.ts';
import { pathsIn } from '../../config/home.ts';
import { loadOrPrint } from '../../launch/load.ts';
import { type ExitCode, printJson, printLine, type Terminal } from '../../launch/terminal.ts';
import { systemClock } from '../../platform/clock.ts';
import { BUDGET_REPORT, type BudgetReport } from '../../protocol/budget-report.ts';
import { openPolicy } from '../access/policy.ts';
import { askCore } from '../ask-role.ts';
import { parseSince, whyNoTime } from '../audited-time.ts';
import { printTable } from '../table.ts';
import type { BudgetKey } from './budget-key.ts';
import { addSpent, type CountedField, type Spent, type Sums } from './count-parts.ts';
import { printAccounts, printLimits } from './print-budget.ts';
import { spentPulls } from './spent-pulls.ts';

export interface BudgetOptions {
  readonly home: string;
  readonly json: boolean;
  readonly since: string;
  readonly by?: BudgetKey;
}

/** The pulls of one subject, group, repository and so on. */
interface NamedSpent extends Spent {
  readonly name: string;
}

/**
 * Prints what is left of the quotas and limits, and who has used it since a time. Returns 1 if no core runs,
 * after printing what the audit log has, and 2 after bad usage.
 */
export async function showBudget(
  options: BudgetOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const { since, by = 'subject', json } = options;
  const from = parseSince(since, systemClock());
  if (from === undefined) {
    printLine(terminal.stderr, `hubgate: ${whyNoTime('--since', since)}`);
    return 2;
  }
  const opened = await openKeys(by, options, environment, terminal);
  if (opened === undefined) return 2;
  const { config, field, named } = opened;
  const [report, counted] = await Promise.all([
    askReport(config, options, terminal),
    spentPulls(config.log.audit, from, field),
  ]);
  const sums = named(counted);
  const spent = [...sums].map(([name, sum]): NamedSpent => ({ name, ...sum }));
  const pulls = spent.toSorted(byUse);
  if (json) printJson(terminal.stdout, { report, since: new Date(from).toISOString(), by, spent: pulls });
  else print(report, from, by, pulls, terminal);
  return report === null ? 1 : 0;
}

/** The order does not depend on which thread counted first. */
function byUse(a: NamedSpent, b: NamedSpent): number {
  return b.pulls - a.pulls || b.refused - a.refused || (a.name < b.name ? -1 : 1);
}

/** Returns null after printing why nobody counts. */
async function askReport(
  { coreUrl }: Config,
  options: BudgetOptions,
  terminal: Terminal,
): Promise<BudgetReport | null> {
  if (coreUrl !== undefined) {
    printLine(terminal.stderr, `hubgate: the core is ${coreUrl} (core.url): it counts no pulls`);
    return null;
  }
  const asked = await askCore(options, { method: 'GET', path: '/budget', schema: BUDGET_REPORT }, terminal);
  return typeof asked === 'string' ? null : asked.answer;
}

interface OpenedKeys {
  readonly config: Config;
  readonly field: CountedField;
  /** Returns the sums under the names that the report has. */
  readonly named: (sums: Sums) => Sums;
}

/** Reads what it takes to name the keys. Returns undefined after printing what is wrong. */
async function openKeys(
  by: BudgetKey,
  { home }: BudgetOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<OpenedKeys | undefined> {
  const paths = pathsIn(home);
  if (by === 'group') {
    const opened = await openPolicy(paths, environment, terminal);
    return opened && { config: opened.config, field: 'subject', named: byGroup(opened.policy.data) };
  }
  const config = await loadOrPrint(paths, environment, terminal);
  return config && { config, field: by, named: (sums) => sums };
}

/** A subject can be in several groups, and its pulls count in each of them. */
function byGroup({ groups, federations }: PolicyData): OpenedKeys['named'] {
  const subjects = compileSubjects(groups, federations);
  const patterns = Object.keys(groups).map((name) => subjects.compile(formatGroup(name)));
  const groupsOf = (subject: Subject | undefined) => {
    const found = patterns.filter((one) => subject !== undefined && one.matches(subject));
    return found.length === 0 ? ['no group'] : found.map(({ text }) => text);
  };
  return (sums) => {
    const named: Sums = new Map();
    for (const [subject, { pulls, refused }] of sums)
      for (const group of groupsOf(parseSubject(subject))) addSpent(named, group, pulls, refused);
    return named;
  };
}

function print(
  report: BudgetReport | null,
  from: number,
  by: BudgetKey,
  spent: readonly NamedSpent[],
  { stdout }: Terminal,
): void {
  if (report !== null) {
    if (report.failure !== null) printLine(stdout, `no limit applies: ${report.failure}`);
    printAccounts(report.accounts, systemClock(), stdout);
    printLimits(report, stdout);
    printLine(stdout, '');
  }
  const total = spent.reduce((sum, { pulls }) => sum + pulls, 0);
  printTable(stdout, {
    heading: [by.toUpperCase(), 'PULLS', 'PART', 'REFUSED'],
    rows: spent.map(({ name, pulls, refused }) => {
      const part = total === 0 || by === 'group' ? '' : `${Math.round((pulls / total) * 100)} %`;
      return [name, String(pulls), part, String(refused)];
    }),
    empty: `no pull has counted, and none was refused, since ${new Date(from).toISOString()}`,
  });
}
