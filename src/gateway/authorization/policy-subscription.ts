import type { Policy } from '../../access/policy.ts';
import { pollValue } from '../../platform/ipc/long-poll-client.ts';
import type { Logger } from '../../platform/log.ts';
import type { AuthClient } from '../clients/auth-client.ts';

/** The current policy. Each request reads it, and nobody keeps it. */
export interface PolicySubscription extends Disposable {
  readonly current: Policy;
}

/**
 * Subscribes to the policy of auth. Only auth reads the files, so that all gateways decide by the same
 * policy.
 */
export function subscribeToPolicy(auth: AuthClient, log: Logger): Promise<PolicySubscription> {
  return pollValue(
    async (options) => {
      const answer = await auth.policy(options);
      const isAnother = answer !== undefined && options.etag !== undefined;
      if (isAnother) log.info({ version: answer.value.data.version }, 'access policy changed');
      return answer;
    },
    { name: 'auth', log },
  );
}
