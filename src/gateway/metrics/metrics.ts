import { Gauge, Registry } from 'prom-client';
import { CORE_STATUS } from '../../registry/core-api.ts';
import type { AuthClient } from '../admission/auth-client.ts';
import type { Core } from '../handover/core.ts';

/** What the admin listener shows to Prometheus, in its text format. */
export interface Metrics {
  readonly contentType: string;
  text(): Promise<string>;
}

/** Every gateway of a mirror says the same, for auth alone reads the policy. */
export function createMetrics(auth: AuthClient, core: Pick<Core, 'status'>): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const gauge = (name: string, help: string, ...labelNames: string[]) =>
    new Gauge({ name, help, labelNames, registers });
  const up = gauge('hubgate_auth_up', '1 while auth answers');
  const version = gauge('hubgate_policy_info', 'The version of the policy that holds', 'version');
  const refused = gauge(
    'hubgate_policy_refused',
    '1 while the files of the policy are refused and the last good one holds',
  );
  const refusals = gauge(
    'hubgate_policy_refusals',
    'How often the files of the policy were refused since auth started',
  );
  const expiry = gauge(
    'hubgate_token_expiry_timestamp_seconds',
    'When a service token ends, of those that end within two weeks',
    'id',
    'owner',
  );
  const credential = gauge(
    'hubgate_upstream_credential_ok',
    '1 while an upstream takes the configured credential, 0 while it refuses it; absent while that is not known',
    'upstream',
  );
  const showCredentials = async () => {
    credential.reset();
    const said = CORE_STATUS.safeParse(await core.status().catch(() => undefined));
    for (const { host, credential: state } of said.data?.upstreams ?? []) {
      if (state === 'accepted' || state === 'refused')
        credential.set({ upstream: host }, state === 'accepted' ? 1 : 0);
    }
  };
  return {
    contentType: registry.contentType,
    text: async () => {
      const said = await auth.status().catch(() => undefined);
      up.set(said === undefined ? 0 : 1);
      version.reset();
      expiry.reset();
      for (const { id, owner, expiresAt } of said?.expiringTokens ?? [])
        expiry.set({ id, owner }, expiresAt / 1000);
      if (said !== undefined) {
        version.set({ version: said.policy.version.slice(0, 12) }, 1);
        refused.set(said.policy.refused === null ? 0 : 1);
        refusals.set(said.policy.refusals);
      }
      await showCredentials();
      return registry.metrics();
    },
  };
}
