import type { Policy } from '../../access/policy.ts';
import { follow } from '../../platform/follow.ts';
import type { Logger } from '../../platform/log.ts';
import type { AuthClient } from '../admission/auth-client.ts';

/** The policy of this moment: asked for at every request, never kept. */
export interface LivePolicy extends Disposable {
  readonly current: Policy;
}

/** The policy as auth says it: it alone reads the files, so that all gateways decide by the same one. */
export function followPolicy(auth: AuthClient, log: Logger): Promise<LivePolicy> {
  return follow(
    async (options) => {
      const answer = await auth.policy(options);
      const isAnother = answer !== undefined && options.etag !== undefined;
      if (isAnother) log.info({ version: answer.value.data.version }, 'access policy changed');
      return answer;
    },
    { name: 'auth', log },
  );
}
