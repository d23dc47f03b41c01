import { type Output, printLine } from '../../launch/terminal.ts';
import { formatSize } from '../../platform/size.ts';
import type { AccountBudget, BudgetReport } from '../../protocol/budget-report.ts';
import { printTable } from '../table.ts';

export function printAccounts(accounts: readonly AccountBudget[], now: number, stdout: Output): void {
  if (accounts.length === 0) printLine(stdout, 'no pull was sent to an upstream yet');
  for (const account of accounts) {
    const name = account.account === null ? '' : `, account ${account.account}`;
    printLine(stdout, `${account.upstream}${name}`);
    printLine(stdout, `  quota     ${quotaOf(account)}`);
    printLine(stdout, `  forecast  ${forecastOf(account, now)}`);
    if (account.share !== null)
      printLine(
        stdout,
        `  share     ${counted(account.subjects, 'subject')} pulled; when less than half is left, each may make ${counted(account.share, 'pull')} while another one wants more`,
      );
  }
}

function quotaOf({ upstream, used, windowMs, quota }: AccountBudget): string {
  const ours = `${counted(used, 'pull')} through this mirror in ${hours(windowMs)}`;
  if (quota === null) return `${ours}; no quota is known, so it is neither shared nor reserved`;
  const { source, limit, left, elsewhere } = quota;
  const who = source === 'stated' ? 'as hubgate.yaml states' : `as ${upstream} says`;
  const others = elsewhere === null || elsewhere === 0 ? '' : `, and ${counted(elsewhere, 'pull')} elsewhere`;
  return `${left} of ${counted(limit, 'pull')} left, ${who}; ${ours}${others}`;
}

/** Says when the quota will be empty at the present pace, and when all of it will be back. */
export function forecastOf(
  { quota, pullsPerHour, emptyAt, fullAgainAt }: Omit<AccountBudget, 'upstream' | 'account'>,
  now: number,
): string {
  const pace = `${pullsPerHour >= 10 ? Math.round(pullsPerHour) : pullsPerHour.toFixed(1)} pulls an hour`;
  if (quota === null) return pace;
  const back = fullAgainAt === null ? 'full now' : `full again at ${timeOf(fullAgainAt, now)}`;
  if (quota.left === 0) return `empty now, at ${pace}; ${back}`;
  if (emptyAt === null) return `never empty at this pace of ${pace}; ${back}`;
  return `empty at ${timeOf(emptyAt, now)} at this pace of ${pace}; ${back}`;
}

export function printLimits({ limits, reserves }: BudgetReport, stdout: Output): void {
  if (limits.length + reserves.length > 0) printLine(stdout, '');
  printTable(stdout, {
    heading: ['LIMIT', 'USED', 'OF', 'IN', 'BUDGETS', 'REFUSED'],
    rows: limits.map(({ limit, unit, used, max, windowMs, budgets, refusals }) => {
      const amount = (value: number) => (unit === 'bytes' ? formatSize(value) : counted(value, 'pull'));
      return [limit, amount(used), amount(max), hours(windowMs), String(budgets), String(refusals)];
    }),
  });
  for (const { id, refusals } of reserves)
    printLine(stdout, `reserve ${id}: ${counted(refusals, 'pull')} refused`);
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

export function hours(milliseconds: number): string {
  const length = milliseconds / 3_600_000;
  return length >= 1 ? `${Math.round(length * 10) / 10} h` : `${Math.round(length * 60)} min`;
}

/** Returns `14:20 UTC`, with the day if it is not today. */
export function timeOf(time: number, now: number): string {
  const [day = '', clock = ''] = new Date(time).toISOString().split('T');
  const today = new Date(now).toISOString().startsWith(day) ? '' : `${day} `;
  return `${today}${clock.slice(0, 5)} UTC`;
}
