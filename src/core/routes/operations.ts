import Router from '@koa/router';
import type { Context } from 'koa';
import type { Meters } from '../../platform/metrics.ts';
import { readBody } from '../../platform/read-body.ts';
import type { BudgetReport, UsedBudgets } from '../../protocol/budget-report.ts';
import {
  type Budget,
  type CachedRepositories,
  type CacheState,
  type CoreStatus,
  PURGE,
  type Purged,
  parseBudgets,
  UPSTREAM_STEPS_QUESTION,
  type UpstreamChecks,
  type UpstreamStep,
} from '../../protocol/core-api.ts';
import { readOperation } from './read-operation.ts';

/** The operations for operators, beside the pulls of gateways. */
export interface Operations {
  /** Counts an answer. `age` is the age of a stale answer in seconds. */
  answered(cache: CacheState, age?: number): void;
  status(): Promise<CoreStatus>;
  /** Reports on quotas and limits. */
  budget(): BudgetReport;
  /** Reports how much of each budget is used. */
  used(budgets: readonly Budget[]): UsedBudgets;
  repositories(): Promise<CachedRepositories>;
  /** Resolves to undefined if a name is invalid. */
  purge(repository: string, reference: string | null): Promise<Purged | undefined>;
  check(): Promise<UpstreamChecks>;
  /** Goes the way to one upstream. Resolves to undefined if there is no such upstream or no such image. */
  steps(host: string, image: string | null): Promise<readonly UpstreamStep[] | undefined>;
}

export interface OperationDependencies {
  readonly operations: Operations;
  readonly metrics: Pick<Meters, 'snapshot'>;
}

/** The bytes that a hundred budgets can take. */
const MAX_BUDGETS = 64 * 1024;

/** Returns the routes for operators, beside the pulls of gateways. */
export function operationRoutes({ operations, metrics }: OperationDependencies): Router {
  const router = new Router({ sensitive: true, strict: true });
  router.get('/status', async (context) => {
    context.body = await operations.status();
  });
  router.get('/budget', (context) => {
    context.body = operations.budget();
  });
  router.post('/budget/used', (context) => answerUsed(context, operations));
  router.get('/metrics', async (context) => {
    context.body = await metrics.snapshot();
  });
  router.get('/cache', async (context) => {
    context.body = await operations.repositories();
  });
  router.post('/cache/purge', (context) => purge(context, operations));
  router.post('/upstreams/steps', (context) => answerSteps(context, operations));
  router.post('/upstreams/check', async (context) => {
    context.body = await operations.check();
  });
  return router;
}

async function answerUsed(context: Context, operations: Operations): Promise<void> {
  const body = await readBody(context.req, MAX_BUDGETS);
  const budgets = parseBudgets(body?.toString('utf8') ?? '');
  if (budgets === undefined) context.status = 400;
  else context.body = operations.used(budgets);
}

async function purge(context: Context, operations: Operations): Promise<void> {
  const { repository, reference } = PURGE.parse(await readOperation(context));
  const purged = await operations.purge(repository, reference);
  if (purged === undefined) context.status = 404;
  else context.body = purged;
}

async function answerSteps(context: Context, operations: Operations): Promise<void> {
  const { host, image } = UPSTREAM_STEPS_QUESTION.parse(await readOperation(context));
  const steps = await operations.steps(host, image);
  if (steps === undefined) context.status = 404;
  else context.body = steps;
}
