import type { AccessQuestion } from '../../access/policy.ts';
import type { LimitData } from '../../access/policy-data.ts';
import type { HomePaths } from '../../config/home.ts';
import { budgetOf } from '../../gateway/authorization/policy-limits.ts';
import { peerAddress } from '../../gateway/http/client-address.ts';
import { formatSize } from '../../platform/size.ts';
import { USED_BUDGETS, type UsedBudgets } from '../../protocol/budget-report.ts';
import { askRole } from '../ask-role.ts';

/** The use by a subject and by those who share a limit with it. It is undefined if no core reports it. */
export type UsedLimits = UsedBudgets | undefined;

/** Asks the running core what is used of the limits that count a pull. */
export async function usedOf(
  limits: readonly LimitData[],
  { subject, address }: AccessQuestion,
  { coreSocket }: HomePaths,
): Promise<UsedLimits> {
  if (limits.length === 0) return undefined;
  const client = { subject, address: peerAddress({ remoteAddress: address }) };
  const body = limits.map((limit) => budgetOf(limit, client));
  const said = await askRole(coreSocket, {
    method: 'POST',
    path: '/budget/used',
    body,
    schema: USED_BUDGETS,
  });
  return typeof said === 'string' ? undefined : said.answer;
}

function amountUsed({ id }: LimitData, unit: 'pulls' | 'bytes', used: UsedLimits): number | undefined {
  return used?.find((one) => one.limit === id && one.unit === unit)?.used;
}

/** Says what is used of a limit; empty if no core tells. */
export function formatUsed(limit: LimitData, used: UsedLimits): string {
  const [pulls, bytes] = [amountUsed(limit, 'pulls', used), amountUsed(limit, 'bytes', used)];
  const parts = [
    ...(pulls === undefined ? [] : [`${pulls} ${pulls === 1 ? 'pull' : 'pulls'}`]),
    ...(bytes === undefined ? [] : [formatSize(bytes)]),
  ];
  return parts.length === 0 ? '' : `; used: ${parts.join(' and ')}`;
}

/** Returns what is used of a limit as it is printed in JSON; null if no core tells. */
export function usedInJson(limit: LimitData, used: UsedLimits) {
  if (used === undefined) return null;
  return {
    pulls: amountUsed(limit, 'pulls', used) ?? null,
    bytes: amountUsed(limit, 'bytes', used) ?? null,
  };
}
