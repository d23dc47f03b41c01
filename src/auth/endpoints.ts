import Router from '@koa/router';
import Koa, { type Middleware } from 'koa';
import { DatabaseUnavailable } from '../platform/database-unavailable.ts';
import { createLongPollEndpoint, LONGEST_WAIT } from '../platform/ipc/long-poll-endpoint.ts';
import type { Logger } from '../platform/log.ts';
import type { Meters } from '../platform/metrics.ts';
import { type AuthStatus, LONGEST_SILENCE } from '../protocol/auth-api.ts';
import type { CredentialRegistry } from './identity/credential-registry.ts';
import { expiringTokens } from './identity/expiring-tokens.ts';
import {
  type AccountRouteDependencies,
  beginSession,
  changePasswordOf,
  createOwnToken,
  endSession,
  listOwnTokens,
  revokeOwnToken,
  showSession,
} from './routes/account.ts';
import { answerAuthenticate } from './routes/authenticate.ts';
import {
  beginDevice,
  type DeviceRouteDependencies,
  decideDevice,
  pollDevice,
  revokeDevice,
  showDevice,
} from './routes/device.ts';
import {
  type BrowserLoginDependencies,
  beginLogin,
  endLogins,
  finishLogin,
  listLogins,
} from './routes/directory-login.ts';
import { BadRequest } from './routes/request.ts';
import { passScim, type ScimDependencies } from './routes/scim.ts';
import { issueToken, type TokenRouteDependencies } from './routes/token.ts';
import type { AuthState } from './state/auth-state.ts';

/** The services of auth on its socket, which gateways and the account page use. */
export interface AuthDependencies extends TokenRouteDependencies {
  readonly credentials: CredentialRegistry;
  readonly state: AuthState;
  readonly browserLogins: BrowserLoginDependencies;
  readonly scim: ScimDependencies;
  readonly account: DeviceRouteDependencies;
  readonly metrics: Pick<Meters, 'snapshot'>;
  /** True while a revocation could go unnoticed, and gateways must not believe that there is none. */
  readonly isBlind: () => boolean;
  /** Aborted when auth stops, so that long polls end. */
  readonly stopping: AbortSignal;
}

export function authApplication(dependencies: AuthDependencies): Koa {
  const app = new Koa();
  // Koa's own handler would print to stderr. An error that reaches it is a fault of ours.
  app.silent = true;
  app.use(answerFaults(dependencies.log));
  app.use(loginRoutes(dependencies).routes());
  app.use(accountRoutes(dependencies.account).routes());
  app.use(deviceRoutes(dependencies.account).routes());
  app.use(browserLoginRoutes(dependencies.browserLogins).routes());
  app.use(scimRoutes(dependencies.scim).routes());
  app.use(subscriptionRoutes(dependencies).routes());
  app.use(operatorRoutes(dependencies).routes());
  return app;
}

function answerFaults(log: Logger): Middleware {
  return async (context, next) => {
    try {
      await next();
    } catch (error) {
      if (error instanceof BadRequest) {
        log.error({ reason: error.message }, 'a gateway asks auth for what it cannot');
        context.status = 422;
        return;
      }
      if (error instanceof DatabaseUnavailable) {
        log.warn({ reason: error.message }, 'a login had to wait');
        context.status = 503;
        return;
      }
      log.error({ err: error }, 'auth failed');
      context.status = 500;
    }
  };
}

function loginRoutes(dependencies: AuthDependencies): Router {
  const router = new Router({ sensitive: true, strict: true });
  router.post('/authenticate', (context) => answerAuthenticate(context, dependencies));
  router.post('/token', (context) => issueToken(context, dependencies));
  return router;
}

function accountRoutes(dependencies: AccountRouteDependencies): Router {
  const router = new Router({ sensitive: true, strict: true });
  router.post('/session', (context) => beginSession(context, dependencies));
  router.post('/session/show', (context) => showSession(context, dependencies));
  router.post('/session/end', (context) => endSession(context, dependencies));
  router.post('/account/password', (context) => changePasswordOf(context, dependencies));
  router.post('/account/tokens', (context) => listOwnTokens(context, dependencies));
  router.post('/account/tokens/create', (context) => createOwnToken(context, dependencies));
  router.post('/account/tokens/revoke', (context) => revokeOwnToken(context, dependencies));
  return router;
}

function deviceRoutes(dependencies: DeviceRouteDependencies): Router {
  const router = new Router({ sensitive: true, strict: true });
  router.post('/device/begin', (context) => beginDevice(context, dependencies));
  router.post('/device/poll', (context) => pollDevice(context, dependencies));
  router.post('/device/revoke', (context) => revokeDevice(context, dependencies));
  router.post('/device/show', (context) => showDevice(context, dependencies));
  router.post('/device/decide', (context) => decideDevice(context, dependencies));
  return router;
}

function browserLoginRoutes(dependencies: BrowserLoginDependencies): Router {
  const router = new Router({ sensitive: true, strict: true });
  router.post('/login/list', (context) => listLogins(context, dependencies));
  router.post('/login/begin', (context) => beginLogin(context, dependencies));
  router.post('/login/finish', (context) => finishLogin(context, dependencies));
  router.post('/login/logout', (context) => endLogins(context, dependencies));
  return router;
}

function scimRoutes(dependencies: ScimDependencies): Router {
  const router = new Router({ sensitive: true, strict: true });
  router.post('/scim', (context) => passScim(context, dependencies));
  return router;
}

/** Returns the routes for what every gateway subscribes to. */
function subscriptionRoutes({ credentials, policy, issuer, isBlind, stopping }: AuthDependencies): Router {
  const forgetAfter = LONGEST_SILENCE + LONGEST_WAIT;
  const activeCredentials = createLongPollEndpoint(credentials, JSON.stringify, stopping, forgetAfter);
  const policies = createLongPollEndpoint(policy.serialized, (serialized) => serialized, stopping);
  const keys = createLongPollEndpoint(
    issuer.keys,
    ({ verifying }) => JSON.stringify({ keys: verifying }),
    stopping,
  );
  const router = new Router({ sensitive: true, strict: true });
  router.get('/keys', (context) => keys.answer(context));
  router.get('/policy', (context) => policies.answer(context));
  router.get('/credentials', async (context) => {
    if (isBlind()) {
      context.status = 503;
      return;
    }
    if (!('wait' in context.query)) await credentials.refresh();
    await activeCredentials.answer(context);
  });
  router.get('/gateways', async (context) => {
    context.body = await activeCredentials.followers(context);
  });
  return router;
}

function operatorRoutes({ metrics, ...dependencies }: AuthDependencies): Router {
  const router = new Router({ sensitive: true, strict: true });
  router.get('/status', async (context) => {
    context.body = await statusOf(dependencies);
  });
  router.get('/metrics', async (context) => {
    context.body = await metrics.snapshot();
  });
  return router;
}

async function statusOf({
  policy,
  state,
  issuer,
}: Pick<AuthDependencies, 'policy' | 'state' | 'issuer'>): Promise<AuthStatus> {
  const tokens = await expiringTokens(state, issuer.clock());
  return {
    policy: policy.status,
    expiringTokens: tokens.map(({ id, owner, expiresAt }) => ({ id, owner, expiresAt })),
  };
}
