import { Gauge, Registry } from 'prom-client';
import type { AuthClient } from '../admission/auth-client.ts';

/** What the admin listener shows to Prometheus, in its text format. */
export interface Metrics {
  readonly contentType: string;
  text(): Promise<string>;
}

/** Every gateway of a mirror says the same, for auth alone reads the policy. */
export function createMetrics(auth: AuthClient): Metrics {
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
      return registry.metrics();
    },
  };
}
