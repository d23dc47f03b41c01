/**
 * Auth identifies users and issues proof of it. It alone has password hashes and the signing key. It is a
 * process of its own, so that hashing delays no pull. It knows nothing of caches, and only the names of
 * upstreams.
 */
import path from 'node:path';
import { directoryOf, readPolicy, stateOfPolicy } from '../access/load-policy.ts';
import type { PolicyContext } from '../access/policy-context.ts';
import { watchPolicy } from '../access/policy-watcher.ts';
import { type Federation, subjectForms } from '../config/federation.ts';
import type { DirectoryLogin } from '../config/login.ts';
import { type Clock, systemClock } from '../platform/clock.ts';
import type { EgressOptions } from '../platform/egress/proxy-rules.ts';
import { serveOnSocket } from '../platform/ipc/unix-socket.ts';
import type { Logger } from '../platform/log.ts';
import { Meters } from '../platform/metrics.ts';
import { stateOfFile, watchFiles } from '../platform/watched-files.ts';
import { TOKEN_GRACE } from '../protocol/auth-api.ts';
import type { UpstreamNames } from '../registry/repository.ts';
import { createChangeOwnPassword } from './admin/own-password.ts';
import { measureDirectories } from './directory-metrics.ts';
import { authApplication } from './endpoints.ts';
import { createAuthenticate } from './identity/authenticate.ts';
import { createCheckPassword } from './identity/check-password.ts';
import { openCredentialRegistry } from './identity/credential-registry.ts';
import { endTokensOfDeletedOwners } from './identity/deleted-owners.ts';
import { createDeviceGrant } from './identity/device-grant.ts';
import type { DirectoryLogins } from './identity/directory/directory-logins.ts';
import type { DirectoryLoginsOptions } from './identity/directory/opened-directory.ts';
import { warnOfExpiry } from './identity/expiring-tokens.ts';
import { createFederatedLogin } from './identity/federation/federated-login.ts';
import { type DelayLimits, LoginDelays, wait } from './identity/login-delays.ts';
import type { PasswordParameters } from './identity/password.ts';
import { createProvePassword } from './identity/prove-password.ts';
import { createRehashPassword } from './identity/rehash-password.ts';
import { createSessions } from './identity/sessions.ts';
import { watchUsers } from './identity/users-watcher.ts';
import type { AuthCluster, AuthClusterOptions, Followed } from './join-cluster.ts';
import { DELAY_LIMITS } from './limits.ts';
import { countLogins, measureAuth } from './metrics.ts';
import { policyCopy, usersCopy } from './shared-files.ts';
import { openAuthState } from './state/sqlite-state.ts';
import { createRefreshTokens } from './token/refresh.ts';
import { followSigningKeys } from './token/signing-key.ts';

export interface AuthOptions {
  /** The path of auth's unix socket. */
  readonly socket: string;
  readonly usersFile: string;
  /** The file of the embedded database. */
  readonly stateFile: string;
  readonly policyFile: string;
  /** The file of the last valid policy. */
  readonly lastPolicyFile: string;
  readonly keyFile: string;
  /** The file of the key that seals the refresh tokens of directories. */
  readonly loginKeyFile: string;
  /** The URL that clients type. It is the issuer of the tokens and their audience. */
  readonly url: URL;
  /** The lifetime in milliseconds. */
  readonly tokenLifetime: number;
  /** The milliseconds for which a client may renew a login without the password. If absent, it may not. */
  readonly refreshLifetime?: number;
  /** The longest lifetime of a new service token, in milliseconds. */
  readonly longestToken: number;
  /** The cost parameters of new password hashes. */
  readonly passwords: PasswordParameters;
  readonly federations: readonly Federation[];
  /** The logins of directories. */
  readonly logins: readonly DirectoryLogin[];
  /** The way to the issuers of federations and to identity providers. */
  readonly egress?: EgressOptions;
  /** The cluster that this node belongs to; absent if it works alone. */
  readonly cluster?: AuthClusterOptions;
  readonly names: UpstreamNames;
  /** Only tests set other delays. */
  readonly delays?: DelayLimits;
  readonly log: Logger;
  readonly clock?: Clock;
}

export interface Auth extends AsyncDisposable {
  /** Reads the users and the policy again, whether or not they changed. */
  reload(): Promise<void>;
}

export async function startAuth(options: AuthOptions): Promise<Auth> {
  const { log, names, url, tokenLifetime: lifetime, federations, logins, clock = systemClock } = options;
  await using stack = new AsyncDisposableStack();
  const stopping = new AbortController();
  const cluster = options.cluster && stack.use(await join(options.cluster, log));
  const ownKeys = stack.use(await followSigningKeys(options.keyFile, log, clock));
  const keys = cluster === undefined ? ownKeys : stack.use(await cluster.shareKeys(ownKeys));
  const context = {
    forms: subjectForms(federations),
    hosted: names.hosted,
    logins: logins.map(({ name }) => name),
  };
  const shared = cluster && stack.use(await shareFiles(cluster, options, context, clock));
  const users = stack.use(await watchUsers(options.usersFile, log));
  const policy = stack.use(
    await watchPolicy({
      file: options.policyFile,
      lastGood: options.lastPolicyFile,
      context,
      log,
      clock,
    }),
  );
  const state = cluster?.state ?? stack.use(openAuthState(options.stateFile));
  const credentials = stack.use(
    await openCredentialRegistry({ users, state, federations, logins, policy, log, clock }),
  );
  stack.use(warnOfExpiry(state, clock, log));
  const isCurrent = shared?.hasCurrentUsers;
  stack.use(endTokensOfDeletedOwners({ users, usersFile: options.usersFile, state, isCurrent, log }));
  const meters = stack.use(new Meters('auth'));
  const counted = countLogins(meters);
  const delays = new LoginDelays({
    clock,
    wait,
    limits: options.delays ?? DELAY_LIMITS,
    stopping: stopping.signal,
  });
  if (cluster !== undefined) stack.use(cluster.shareDelays(delays));
  const checkPassword = await createCheckPassword({
    users,
    parameters: options.passwords,
    delays,
    renewHash: createRehashPassword({ file: options.usersFile, users, credentials, state, log }),
    remembersWrong: logins.length === 0,
    clock,
  });
  const directories =
    logins.length > 0
      ? stack.use(
          await loadDirectories({
            ...{ logins, url, users, state, delays, clock, log, keyFile: options.loginKeyFile },
            spendHash: checkPassword.spendHash,
            refresh: () => credentials.refresh(),
            egress: options.egress,
            shared: cluster?.sharedLogins,
          }),
        )
      : undefined;
  const authenticate = createAuthenticate({
    users,
    state,
    logins,
    directoryPasswords: directories?.passwords,
    checkPassword,
    federatedLogin: createFederatedLogin({ federations, egress: options.egress, clock, log }),
    clock,
  });
  const refreshTokens = createRefreshTokens({ users, state, clock, lifetime: options.refreshLifetime });
  if (directories !== undefined) measureDirectories(meters, { directories, logins, state, users, clock });
  measureAuth(meters, { policy, state, hashing: checkPassword, delays, clock });
  const account = {
    ...{ users, state, clock, log, tokens: { longest: options.longestToken, hosted: names.hosted } },
    devices: createDeviceGrant({ state, clock }),
    verificationUrl: new URL('/account/device', url).href,
    sessions: createSessions({ state, credentials, clock }),
    provePassword: counted.provePassword(createProvePassword(checkPassword, users, directories?.passwords)),
    changePassword: createChangeOwnPassword({
      stores: { users: options.usersFile, authState: options.stateFile },
      ...{ users, credentials, checkPassword, parameters: options.passwords },
    }),
  };
  const app = authApplication({
    browserLogins: {
      browsers: directories?.browsers,
      sessions: account.sessions,
      counted: counted.browserLogin,
      log,
    },
    scim: { answer: directories?.scim },
    account,
    authenticate: counted.authenticate(authenticate),
    refreshTokens: counted.refreshTokens(refreshTokens),
    credentials,
    policy,
    groupsOf: credentials.groupsOf,
    state,
    names,
    metrics: meters,
    isBlind: () => cluster?.isBlind() ?? false,
    issuer: {
      ...{ keys, issuer: url.origin, audience: url.host, lifetime, clock },
      // A client renews its token when the promised time is over, by its own clock, and never in an upload.
      ...(names.hosted && { grace: TOKEN_GRACE }),
    },
    log,
    stopping: stopping.signal,
  });
  stack.use(await serveOnSocket(options.socket, app.callback()));
  stack.defer(() => stopping.abort());
  const running = stack.move();
  return {
    reload: async () => {
      await users.look();
      await policy.look();
      await ownKeys.look();
      await directories?.confirm();
      log.info('users, access policy and signing key read anew');
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** Shares the users and the policy with the other nodes, before they are read here. */
async function shareFiles(
  cluster: AuthCluster,
  { usersFile, policyFile, log }: AuthOptions,
  context: PolicyContext,
  clock: Clock,
): Promise<Pick<Followed, 'hasCurrentUsers'> & AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const isInForce = async () => 'value' in (await readPolicy(policyFile, clock(), context));
  const followed = stack.use(
    await cluster.follow({
      users: usersCopy(usersFile, clock),
      policy: policyCopy({ file: policyFile, isInForce, clock }),
    }),
  );
  for (const [name, state, directories] of [
    ['users', () => stateOfFile(usersFile), [path.dirname(usersFile)]],
    ['policy', () => stateOfPolicy(policyFile), [path.dirname(policyFile), directoryOf(policyFile)]],
  ] as const) {
    const load = async () => followed.edited(name);
    stack.use(watchFiles({ state, seen: '', load, directories, log }));
  }
  const shared = stack.move();
  return {
    hasCurrentUsers: () => followed.hasCurrentUsers(),
    [Symbol.asyncDispose]: () => shared.disposeAsync(),
  };
}

/** Loads the client of the database only where there is one. */
async function join(options: AuthClusterOptions, log: Logger): Promise<AuthCluster> {
  const { joinAuthCluster } = await import('./join-cluster.ts');
  return joinAuthCluster(options, log);
}

/** Loads the libraries of directories only where a login is configured. */
async function loadDirectories(options: DirectoryLoginsOptions): Promise<DirectoryLogins> {
  const { openDirectoryLogins } = await import('./identity/directory/directory-logins.ts');
  return openDirectoryLogins(options);
}
