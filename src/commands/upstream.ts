import { type ExitCode, printJson, printLine, type Terminal } from '../launch/terminal.ts';
import { BUDGET_REPORT, type BudgetReport } from '../protocol/budget-report.ts';
import { CORE_STATUS, type CoreStatus, UPSTREAM_CHECKS, type UpstreamChecks } from '../protocol/core-api.ts';
import { askCore, type CoreCommandOptions } from './ask-role.ts';
import { hours } from './budget/print-budget.ts';

/** Prints what each upstream answers now, and what the core knows of it. Returns 1 if one has a problem. */
export async function showUpstreams(options: CoreCommandOptions, terminal: Terminal): Promise<ExitCode> {
  const check = { method: 'POST', path: '/upstreams/check', schema: UPSTREAM_CHECKS } as const;
  const checked = await askCore(options, check, terminal);
  if (typeof checked === 'string') return 1;
  // The status is asked after the check, because the upstream's answer to the check can report the quota.
  const status = await askCore(options, { method: 'GET', path: '/status', schema: CORE_STATUS }, terminal);
  if (typeof status === 'string') return 1;
  const budget = await askCore(options, { method: 'GET', path: '/budget', schema: BUDGET_REPORT }, terminal);
  if (typeof budget === 'string') return 1;
  const pullsOf = (host: string, name: string | null) =>
    countOf(budget.answer.accounts.find(({ upstream, account }) => upstream === host && account === name));
  const upstreams = checked.answer.map((one): ListedUpstream => {
    const known = status.answer.upstreams.find(({ host }) => host === one.host);
    const accounts = one.accounts?.map((account) => {
      const quota = known?.accounts?.find(({ name }) => name === account.name)?.quota ?? null;
      return { ...account, quota, pulls: pullsOf(one.host, account.name) };
    });
    const { accounts: _, ...rest } = one;
    const shown = { ...rest, leftAlone: known?.trouble ?? null, quota: known?.quota ?? null };
    return accounts === undefined ? { ...shown, pulls: pullsOf(one.host, null) } : { ...shown, accounts };
  });
  if (options.json) printJson(terminal.stdout, upstreams);
  else for (const upstream of upstreams) printUpstream(upstream, terminal);
  return upstreams.every(({ trouble, credential }) => trouble === null && credential !== 'refused') ? 0 : 1;
}

type ReportedQuota = CoreStatus['upstreams'][number]['quota'];

type ListedUpstream = Omit<UpstreamChecks[number], 'accounts'> & {
  readonly leftAlone: string | null;
  readonly quota: ReportedQuota;
  /** Absent if the configuration names several accounts, each of which has its own. */
  readonly pulls?: CountedPulls;
  /** Present if the configuration names several accounts. */
  readonly accounts?: readonly ListedAccount[];
};

type ListedAccount = NonNullable<UpstreamChecks[number]['accounts']>[number] & {
  readonly quota: ReportedQuota;
  readonly pulls: CountedPulls;
};

/** The pulls that were sent through this mirror, whether the upstream keeps a count or not. */
interface CountedPulls {
  readonly used: number;
  readonly windowMs: number;
}

function countOf(account: BudgetReport['accounts'][number] | undefined): CountedPulls {
  const { used = 0, windowMs = 0 } = account ?? {};
  return { used, windowMs };
}

const CREDENTIALS: Readonly<Record<ListedUpstream['credential'], string>> = {
  none: 'none is configured',
  accepted: 'accepted',
  refused: 'refused: see upstreams in hubgate.yaml',
  unknown: 'not known',
};

function printUpstream(
  { host, trouble, credential, milliseconds, leftAlone, quota, pulls, accounts }: ListedUpstream,
  { stdout }: Terminal,
) {
  printLine(stdout, host);
  printLine(stdout, trouble === null ? `  reachable   in ${milliseconds} ms` : `  unreachable ${trouble}`);
  if (leftAlone !== null)
    printLine(stdout, `  left alone  ${leftAlone}; it is tried again in the background`);
  if (accounts === undefined) {
    printLine(stdout, `  credential  ${CREDENTIALS[credential]}`);
    printLine(stdout, `  quota       ${quotaText(quota)}`);
    return printLine(stdout, `  pulls       ${pullsText(pulls)}`);
  }
  for (const account of accounts) {
    printLine(stdout, `  account ${account.name}`);
    printLine(stdout, `    credential  ${CREDENTIALS[account.credential]}`);
    printLine(stdout, `    quota       ${quotaText(account.quota)}`);
    printLine(stdout, `    pulls       ${pullsText(account.pulls)}`);
  }
}

function quotaText(quota: ReportedQuota): string {
  if (quota === null) return 'nothing was said of one';
  const { limit, remaining, window, readAt, source } = quota;
  const hours = `${Math.round(window / 360) / 10} h`;
  const read = new Date(readAt).toISOString();
  const reset = new Date(readAt + window * 1000).toISOString();
  const whose = source === undefined ? '' : `, for ${source}`;
  return `${remaining} of ${limit} pulls in ${hours} were left at ${read}; all are back at ${reset} at the latest${whose}`;
}

function pullsText(pulls: CountedPulls | undefined): string {
  if (pulls === undefined || pulls.windowMs === 0) return 'none through this mirror';
  return `${pulls.used} through this mirror in ${hours(pulls.windowMs)}`;
}
