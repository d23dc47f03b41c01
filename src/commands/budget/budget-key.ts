/** What the pulls of `hubgate upstream budget` can be added up by. */
export const BUDGET_KEYS = ['subject', 'group', 'repository', 'rule', 'address', 'account'] as const;
export type BudgetKey = (typeof BUDGET_KEYS)[number];
