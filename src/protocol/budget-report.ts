/** The core's report on quotas and limits, the answer to `GET /budget`. Times are in milliseconds. */
import { z } from 'zod';

export const BUDGET_REPORT = z.object({
  /** The reason why the counts cannot be read, so that no limit applies; null if they can. */
  failure: z.string().nullable(),
  accounts: z.array(
    z.object({
      upstream: z.string(),
      /** Null for the only account of an upstream, which has no name. */
      account: z.string().nullable(),
      /** The pulls since the core started. */
      pulls: z.int(),
      /** The pulls through this mirror in the window. */
      used: z.int(),
      windowMs: z.number(),
      quota: z
        .object({
          /** The upstream itself, or the configuration. */
          source: z.enum(['upstream', 'stated']),
          limit: z.int(),
          left: z.int(),
          /** The pulls that did not come through this mirror; null if the upstream keeps no count. */
          elsewhere: z.int().nullable(),
          readAt: z.int().nullable(),
        })
        .nullable(),
      /** The subjects with a pull in the window, and the fair share of each. */
      subjects: z.int(),
      share: z.int().nullable(),
      pullsPerHour: z.number(),
      /**
       * The time at which nothing is left at this pace; null if that does not come, or if no quota is known.
       */
      emptyAt: z.int().nullable(),
      /** The time at which everything is back if nobody pulls any more; null if nothing is missing. */
      fullAgainAt: z.int().nullable(),
    }),
  ),
  limits: z.array(
    z.object({
      limit: z.string(),
      unit: z.enum(['pulls', 'bytes']),
      /** The use of the budget of this limit that is used most. */
      used: z.number(),
      max: z.number(),
      windowMs: z.number(),
      /** The budgets of this limit in use: one, or one for each subject. */
      budgets: z.int(),
      refusals: z.int(),
    }),
  ),
  /** The pulls that each reserve has refused since the start. */
  reserves: z.array(z.object({ id: z.string(), refusals: z.int() })),
});
export type BudgetReport = Readonly<z.output<typeof BUDGET_REPORT>>;
export type AccountBudget = BudgetReport['accounts'][number];

/**
 * `POST /budget/used` returns how much of each budget is used. The body is like the header `budgets` of a
 * pull.
 */
export const USED_BUDGETS = z.array(
  z.object({ limit: z.string(), unit: z.enum(['pulls', 'bytes']), used: z.number() }),
);
export type UsedBudgets = Readonly<z.output<typeof USED_BUDGETS>>;
