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
import { printAccounts, printLimits } from './print-budget.ts';
import { type SpendingLine, spendingLines } from './spent-pulls.ts';

export interface BudgetOptions {
  readonly home: string;
  readonly json: boolean;
  readonly since: string;
  readonly by?: BudgetKey;
}

/** The pulls of one subject, group, repository and so on. */
interface Spent {
  readonly name: string;
  pulls: number;
  refused: number;
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
  const { config, keysOf } = opened;
  const report = await askReport(config, options, terminal);
  const spent = await addUp(spendingLines(config.log.audit, from), keysOf);
  const pulls = spent.toSorted((a, b) => b.pulls - a.pulls || b.refused - a.refused);
  if (json) printJson(terminal.stdout, { report, since: new Date(from).toISOString(), by, spent: pulls });
  else print(report, from, by, pulls, terminal);
  return report === null ? 1 : 0;
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
  /** Returns under which names a line counts. */
  readonly keysOf: (line: SpendingLine['line']) => readonly string[];
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
    return opened && { config: opened.config, keysOf: groupsIn(opened.policy.data) };
  }
  const config = await loadOrPrint(paths, environment, terminal);
  return config && { config, keysOf: (line) => [line[by] ?? '-'] };
}

/** A subject can be in several groups, and its pulls count in each of them. */
function groupsIn({ groups, federations }: PolicyData): OpenedKeys['keysOf'] {
  const subjects = compileSubjects(groups, federations);
  const patterns = Object.keys(groups).map((name) => subjects.compile(formatGroup(name)));
  const known = new Map<string, readonly string[]>();
  const groupsOf = (subject: Subject | undefined) =>
    patterns.filter((one) => subject !== undefined && one.matches(subject)).map(({ text }) => text);
  return ({ subject }) =>
    known.getOrInsertComputed(subject, () => {
      const found = groupsOf(parseSubject(subject));
      return found.length === 0 ? ['no group'] : found;
    });
}

async function addUp(
  lines: AsyncIterable<SpendingLine>,
  keysOf: OpenedKeys['keysOf'],
): Promise<readonly Spent[]> {
  const sums = new Map<string, Spent>();
  for await (const { line, pulls, refused } of lines)
    for (const name of keysOf(line)) {
      const sum = sums.getOrInsertComputed(name, () => ({ name, pulls: 0, refused: 0 }));
      sum.pulls += pulls;
      if (refused) sum.refused++;
    }
  return [...sums.values()];
}

function print(
  report: BudgetReport | null,
  from: number,
  by: BudgetKey,
  spent: readonly Spent[],
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
