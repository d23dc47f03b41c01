import { BUDGET_REPORT, type BudgetReport } from '../../../protocol/budget-report.ts';
import { askRole } from '../../ask-role.ts';
import { timeOf } from '../../budget/print-budget.ts';
import { type Finding, type Looked, wrong } from '../checks.ts';
import type { ExaminedServer } from './server.ts';

/** The time in milliseconds from now in which it matters that a quota will be empty. */
const SOON = 3_600_000;

/** Says whether limits apply, and which quota will soon be empty at the present pace. */
export async function budget({
  paths,
  core,
  clock,
}: Pick<ExaminedServer, 'paths' | 'core' | 'clock'>): Promise<Looked> {
  if (core === undefined) return { skipped: 'the core counts the pulls, and it does not run' };
  const asked = await askRole(paths.coreSocket, { method: 'GET', path: '/budget', schema: BUDGET_REPORT });
  if (typeof asked === 'string') throw new Error('the core has gone meanwhile');
  const { failure, accounts } = asked.answer;
  const mend = 'move that file away and restart the core: the counts begin at 0 then';
  const off = failure === null ? [] : [wrong('limits and reserves', `do not apply: ${failure}`, mend)];
  return { findings: [...off, ...accounts.flatMap((account) => isEmptySoon(account, clock()))] };
}

function isEmptySoon(
  { upstream, quota, emptyAt, pullsPerHour }: BudgetReport['accounts'][number],
  now: number,
): Finding[] {
  // The check of the quota says it if nearly nothing is left.
  if (quota === null || emptyAt === null || emptyAt <= now || emptyAt > now + SOON) return [];
  const what = `will have no pulls left at ${timeOf(emptyAt, now)}, at ${Math.round(pullsPerHour)} pulls an hour`;
  const mend =
    '`hubgate upstream budget` says who pulls; limits and a reserve in access.yaml share the quota';
  return [wrong(`upstream ${upstream}`, what, mend)];
}
