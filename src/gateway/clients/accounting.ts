import type { UpstreamCost } from '../../protocol/core-api.ts';
import type { PullAccounting } from './core-client.ts';

/**
 * Returns the accounting of several requests to the core for one request of a client: the first pull id, and
 * the sum of all costs that have been reported so far.
 */
export function sumOf(all: readonly PullAccounting[]): Pick<PullAccounting, 'pull' | 'cost'> {
  const [first] = all;
  if (first !== undefined && all.length === 1 && first.trailingCost === undefined) return first;
  const costs = all.flatMap(({ cost, trailingCost }) => [cost, trailingCost?.()]);
  return { pull: all.find(({ pull }) => pull !== undefined)?.pull, cost: costs.reduce(addCosts, undefined) };
}

function addCosts(one: UpstreamCost | undefined, other: UpstreamCost | undefined): UpstreamCost | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  const account = other.account ?? one.account;
  return {
    upstreamRequests: one.upstreamRequests + other.upstreamRequests,
    countedPulls: one.countedPulls + other.countedPulls,
    ...(account !== undefined && { account }),
  };
}
