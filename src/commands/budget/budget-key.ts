/** The fields by which `hubgate upstream budget` can add up pulls. */
export const BUDGET_KEYS = ['subject', 'group', 'repository', 'rule', 'address', 'account'] as const;
export type BudgetKey = (typeof BUDGET_KEYS)[number];
