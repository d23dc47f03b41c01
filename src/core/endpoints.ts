import type { RequestListener } from 'node:http';
import Koa, { type Middleware } from 'koa';
import { DatabaseUnavailable } from '../platform/database-unavailable.ts';
import type { Logger } from '../platform/log.ts';
import { NobodyWaits } from '../platform/scheduling/waiters.ts';
import type { Hosted } from './hosted/hosted.ts';
import { HostedUnavailable } from './hosted/hosted-database.ts';
import type { SendToOwner } from './hosted/send-to-owner.ts';
import { type CacheRouteDependencies, cacheRoutes } from './routes/gateway-caches.ts';
import {
  answerDatabaseAway,
  answerUnavailable,
  type HostedRouteDependencies,
  hostedRoutes,
  type OpenCachedBlob,
  ownUploadRoutes,
} from './routes/hosted.ts';
import { hostedOperationRoutes } from './routes/hosted-operations.ts';
import { type OperationDependencies, operationRoutes } from './routes/operations.ts';
import { type PullRouteDependencies, pullRoutes } from './routes/pull.ts';
import { answerRefusal } from './routes/pull-answer.ts';

export interface CoreDependencies
  extends PullRouteDependencies,
    CacheRouteDependencies,
    OperationDependencies {
  readonly operations: OperationDependencies['operations'];
  /** The hosted repositories; absent if nothing is hosted. */
  readonly hosted?: Hosted;
  readonly openCachedBlob: OpenCachedBlob;
  readonly sendToOwner?: SendToOwner | undefined;
  readonly log: Logger;
}

/** The services of the core on its socket: for the pulls of gateways, for their caches, and for operators. */
export function coreApplication(dependencies: CoreDependencies): Koa {
  const app = new Koa();
  // Koa's own handler would print to stderr. An error that reaches it is a fault of ours.
  app.silent = true;
  app.use(answerFaults(dependencies.log));
  app.use(pullRoutes(dependencies).routes());
  const { hosted, names, openCachedBlob, sendToOwner } = dependencies;
  if (hosted !== undefined) {
    app.use(hostedRoutes({ hosted, names, openCachedBlob, sendToOwner }).routes());
    app.use(hostedOperationRoutes(hosted).routes());
  }
  app.use(cacheRoutes(dependencies).routes());
  app.use(operationRoutes(dependencies).routes());
  return app;
}

/** The uploads of this node, for the requests that the clients of other nodes send. */
export function peerApplication({
  log,
  ...dependencies
}: Pick<HostedRouteDependencies, 'hosted' | 'names'> & { readonly log: Logger }): RequestListener {
  const app = new Koa();
  app.silent = true;
  app.use(answerFaults(log));
  app.use(ownUploadRoutes(dependencies).routes());
  return app.callback();
}

function answerFaults(log: Logger): Middleware {
  return async (context, next) => {
    try {
      await next();
    } catch (error) {
      if (error instanceof NobodyWaits) return void context.res.destroy();
      if (error instanceof HostedUnavailable) return answerUnavailable(context, error);
      if (error instanceof DatabaseUnavailable) return answerDatabaseAway(context);
      log.error({ err: error }, 'the core failed');
      if (context.res.headersSent) context.res.destroy();
      else answerRefusal(context, { kind: 'refused', error: 'INTERNAL' });
    }
  };
}
