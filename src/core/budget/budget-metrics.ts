import type { Meters, MetricValue } from '../../platform/metrics.ts';
import type { AccountBudget, BudgetReport } from '../../protocol/budget-report.ts';
import type { Budgets } from './budgets.ts';

/** Registers the metrics of quotas and limits. The ids of limits and reserves come from the policy. */
export function measureBudgets(meters: Meters, counts: Pick<Budgets, 'report'>): void {
  let current: BudgetReport | undefined;
  // All metrics of one scrape are read in the same turn of the event loop.
  const budgets = {
    report: () => {
      if (current === undefined) setImmediate(() => (current = undefined));
      current ??= counts.report();
      return current;
    },
  };
  meters.readGauge(
    'hubgate_budget_readable',
    '0 while the counts of pulls cannot be read, so that no limit applies',
    () => [{ value: budgets.report().failure === null ? 1 : 0 }],
  );
  measureAccounts(meters, budgets);
  measureLimits(meters, budgets);
}

function measureAccounts(meters: Meters, budgets: Pick<Budgets, 'report'>): void {
  const labels = ['upstream', 'account'];
  const accounts = (read: (account: AccountBudget) => number | null | undefined) => () =>
    budgets.report().accounts.flatMap((one): MetricValue[] => {
      const value = read(one);
      const { upstream, account } = one;
      if (value === null || value === undefined) return [];
      return [{ value, labels: { upstream, ...(account !== null && { account }) } }];
    });
  meters.readCounter(
    'hubgate_upstream_pulls_total',
    'Pulls that were sent upstream, whether the upstream keeps a count or not',
    accounts(({ pulls }) => pulls),
    labels,
  );
  meters.readGauge(
    'hubgate_upstream_foreign_pulls',
    'Pulls in the window that the upstream counts and that did not come through this mirror',
    accounts(({ quota }) => quota?.elsewhere),
    { labels },
  );
  meters.readGauge(
    'hubgate_upstream_quota_empty_timestamp_seconds',
    'When nothing of the quota will be left at the present pace; absent if that does not come',
    accounts(({ emptyAt }) => emptyAt && emptyAt / 1000),
    { labels },
  );
}

function measureLimits(meters: Meters, budgets: Pick<Budgets, 'report'>): void {
  const labels = ['limit', 'unit'];
  const limits = (name: 'used' | 'max' | 'refusals') => () =>
    budgets.report().limits.map(({ limit, unit, ...values }) => {
      return { value: values[name], labels: { limit, unit } };
    });
  meters.readGauge(
    'hubgate_limit_used',
    'What is used of a limit; of one for each subject, by the subject that has used most',
    limits('used'),
    { labels },
  );
  meters.readGauge('hubgate_limit_max', 'What a limit allows in its window', limits('max'), { labels });
  meters.readCounter(
    'hubgate_limit_refusals_total',
    'Pulls that a limit has refused',
    limits('refusals'),
    labels,
  );
  meters.readCounter(
    'hubgate_reserve_held_total',
    'Pulls that were refused because the rest of the quota is reserved for others',
    () => budgets.report().reserves.map(({ id, refusals }) => ({ value: refusals, labels: { reserve: id } })),
    ['reserve'],
  );
}
