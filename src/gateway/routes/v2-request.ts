import type { Middleware } from 'koa';
import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/log.ts';
import type { BearerChallenge } from '../../registry/challenge.ts';
import type { UpstreamNames } from '../../registry/repository.ts';
import type { Route, UploadRoute } from '../../registry/route.ts';
import type { Audit } from '../audit/audit.ts';
import type { DeliveryResult, RepositoryRequest } from '../audit/audit-record.ts';
import type { ReceivedWrite, WriteResult } from '../audit/write-record.ts';
import type { ActiveCredentials } from '../authentication/active-credentials.ts';
import type { AuthenticateClient, Authentication } from '../authentication/authenticate-client.ts';
import type { CallerOf } from '../authentication/request-keys.ts';
import type { AccessDecision, Authorize, AuthorizeNow } from '../authorization/authorize.ts';
import type { PolicyLimits } from '../authorization/policy-limits.ts';
import type { PushableNamespaces } from '../authorization/pushable-namespaces.ts';
import type { CoreAnswer, CoreClient, PullAccounting } from '../clients/core-client.ts';
import type { SendWrite } from '../clients/hosted-client.ts';
import type { DeliveryPool } from '../delivery/delivery-pool.ts';
import type { AddressOf, ClientAddress } from '../http/client-address.ts';
import type { InFlight } from '../http/in-flight.ts';
import type { WriteTarget } from './push-request.ts';

export interface V2Dependencies {
  readonly names: UpstreamNames;
  readonly addressOf: AddressOf;
  readonly authenticate: AuthenticateClient;
  readonly authorizeNow: AuthorizeNow;
  readonly pushableNamespaces: PushableNamespaces;
  readonly credentials: Pick<ActiveCredentials, 'find' | 'throwIfStale'>;
  readonly limits: PolicyLimits;
  readonly clock: Clock;
  readonly core: CoreClient;
  readonly callerOf: CallerOf;
  /** Absent if nothing is hosted, so that nothing can be written. */
  readonly sendWrite?: SendWrite | undefined;
  /** The resources that the responses which send a blob share. */
  readonly pool: DeliveryPool;
  readonly audit: Audit;
  readonly log: Logger;
  /**
   * The place where tokens are issued, and their audience. Absent if nobody can log in, so that nobody is
   * challenged.
   */
  readonly challenge?: Pick<BearerChallenge, 'realm' | 'service'>;
  /** True if `_catalog` is served. */
  readonly catalog: boolean;
  /** The requests in flight of known subjects. */
  readonly subjects: InFlight;
}

/** A request about a repository. */
export interface Pull extends RepositoryRequest {
  readonly method: 'GET' | 'HEAD';
  readonly accountings: PullAccounting[];
}

export interface ReadTarget {
  readonly kind: 'read';
  readonly method: 'GET' | 'HEAD';
  readonly route: Exclude<Route, UploadRoute | { kind: 'mirrored-upload' }>;
}

/**
 * The route of a request, and whether the request reads or writes. Nobody can write to a mirrored repository.
 */
export type V2Target =
  | ReadTarget
  | { readonly kind: 'write'; readonly write: WriteTarget }
  | { readonly kind: 'mirrored-write' };

/**
 * The knowledge that the steps so far have gained about a request. A step reads only what an earlier step has
 * added.
 */
export interface V2State {
  /** `parseRoute` sets these three. */
  started: number;
  address: ClientAddress;
  target: V2Target;
  /** `authenticate` sets it. */
  authentication: Authentication;
  /** `recordWrite` sets `write`, and the step that answers the write sets `written`. */
  write: ReceivedWrite;
  written: WriteResult;
  /** `answerPingOrCatalog` sets it. */
  pull: Pull;
  /**
   * `authorizePull` sets these three, and `authorizeWrite` sets `decision`. `reachesPrivate` is true if the
   * read access includes private content.
   */
  authorize: Authorize;
  decision: AccessDecision;
  reachesPrivate: boolean;
  /** `fetchFromCore` sets it. */
  answer: CoreAnswer;
  /** The step that answers the pull sets it: `authorizePull` if it refuses, otherwise `deliverAnswer`. */
  result: DeliveryResult;
}

/** A step either answers a request, or calls the next step. */
export type V2Step = Middleware<V2State>;
