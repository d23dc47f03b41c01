import type { UpstreamHost } from '../../registry/repository.ts';
import type { RegistryClient } from '../upstream/registry-client.ts';
import type { AccountReport } from '../upstream/upstream-accounts.ts';
import type { Budgets } from './budgets.ts';

/** Returns what is known of the accounts of an upstream, with the stated quota if it names none itself. */
export function accountReports(
  client: Pick<RegistryClient, 'accounts'>,
  budgets: Pick<Budgets, 'statedQuota'>,
  host: UpstreamHost,
): readonly AccountReport[] {
  return client.accounts(host).map((account) => {
    return { ...account, quota: budgets.statedQuota(host, account.name) ?? account.quota };
  });
}
