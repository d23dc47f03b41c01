import { propertyOf } from '../../platform/object-properties.ts';
import { Deadline } from '../../platform/scheduling/deadline.ts';
import type { Audit, AuditState } from '../audit/audit.ts';
import type { PolicySubscription } from '../authorization/policy-subscription.ts';
import type { AuthClient } from '../clients/auth-client.ts';
import type { CoreClient } from '../clients/core-client.ts';
import type { Listener } from '../http/listener.ts';
import type { Reached } from '../http/reach-listener.ts';
import { READINESS_DEADLINE } from '../limits.ts';

export interface ReadinessDependencies {
  readonly auth: AuthClient;
  readonly core: CoreClient;
  readonly policy: PolicySubscription;
  readonly audit: Pick<Audit, 'state'>;
  /** Returns undefined while there is no listener yet. */
  readonly listener: () => Pick<Listener, 'isOpen' | 'connections'> | undefined;
  readonly reach: () => Promise<Reached>;
}

/** The state of one part. */
interface ReadinessPart {
  readonly ready: boolean;
  readonly error?: string;
  readonly connections?: Listener['connections'];
}

export type Readiness = () => Promise<
  { readonly ready: boolean } & Readonly<Record<string, ReadinessPart | boolean>>
>;

/**
 * Tells whether this gateway and the parts that it needs can serve pulls. All of them must be able to, and
 * each says why it cannot.
 */
export function createReadiness({
  auth,
  core,
  policy,
  audit,
  listener,
  reach,
}: ReadinessDependencies): Readiness {
  return async () => {
    const [ofAuth, ofCore, ofListener] = await Promise.all([
      stateOf(auth.status()),
      stateOf(core.status()),
      stateOfListener(listener(), reach),
    ]);
    const parts = {
      auth: ofAuth,
      core: ofCore,
      policy: { ready: true, version: policy.current.data.version },
      audit: partOfAudit(audit.state()),
      listener: ofListener,
      ...(isDraining(ofCore) && { node: { ready: false, error: 'it is being drained' } }),
    };
    return { ready: Object.values(parts).every(({ ready }) => ready), ...parts };
  };
}

/** True if an operator wants the balancer to send clients to other nodes of the cluster. */
function isDraining(core: object): boolean {
  return propertyOf(propertyOf(core, 'cluster'), 'draining') === true;
}

/**
 * An audit log that cannot be written makes the gateway unready only if the configuration refuses requests
 * then.
 */
function partOfAudit({ waiting, lost, trouble, refuses }: AuditState): ReadinessPart {
  const counted = { waiting, lost };
  return { ready: !refuses, ...counted, ...(trouble !== undefined && { error: trouble }) };
}

const UNREACHED = {
  refused: 'it ends connections without an answer',
  silent: 'a gateway does not answer connections',
};

async function stateOfListener(
  listener: ReturnType<ReadinessDependencies['listener']>,
  reach: ReadinessDependencies['reach'],
): Promise<ReadinessPart> {
  if (listener?.isOpen !== true) return { ready: false, error: 'it takes no connections' };
  const { connections } = listener;
  if (connections.open >= connections.most)
    return { ready: false, error: 'it has as many connections as its open files allow', connections };
  const reached = await reach();
  return reached === 'answers'
    ? { ready: true, connections }
    : { ready: false, error: UNREACHED[reached], connections };
}

async function stateOf(detail: Promise<object>): Promise<ReadinessPart> {
  using deadline = new Deadline(READINESS_DEADLINE);
  return await deadline.bound(detail).then(
    (said) => ({ ready: true, ...said }),
    (error: Error) => ({ ready: false, error: error.message || 'it does not answer in time' }),
  );
}
