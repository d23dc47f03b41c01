/**
 * The gateway is the front door. It knows who asks and what they may do, asks the core, and records. Its only
 * secret is its TLS key. This is the only file that knows all of its modules.
 */
import { createServer, type IncomingMessage } from 'node:http';
import type { AuditOnFull } from '../platform/audit-on-full.ts';
import { type Clock, systemClock } from '../platform/clock.ts';
import { drained } from '../platform/drain.ts';
import { openSocketClient } from '../platform/ipc/http-client.ts';
import type { Logger } from '../platform/log.ts';
import { type Network, networkOf } from '../platform/network.ts';
import { TOKEN_GRACE } from '../protocol/auth-api.ts';
import type { UpstreamNames } from '../registry/repository.ts';
import { openAudit } from './audit/audit.ts';
import { recordRemovals } from './audit/record-removals.ts';
import { followActiveCredentials } from './authentication/active-credentials.ts';
import { createAuthenticateClient } from './authentication/authenticate-client.ts';
import { createVerifyToken } from './authentication/bearer-token.ts';
import { followClientAuthorities } from './authentication/client-ca.ts';
import { createIdentifyByCertificate } from './authentication/client-certificate.ts';
import { createCallerOf } from './authentication/request-keys.ts';
import { createAuthorize } from './authorization/authorize.ts';
import { followPolicyLimits } from './authorization/policy-limits.ts';
import { subscribeToPolicy } from './authorization/policy-subscription.ts';
import { createPushableNamespaces } from './authorization/pushable-namespaces.ts';
import { openAccountClient } from './clients/account-client.ts';
import { openAuthClient } from './clients/auth-client.ts';
import { cacheAnswers } from './clients/caching-core-client.ts';
import { createSendWrite } from './clients/hosted-client.ts';
import { type LocalCoreClientOptions, openLocalCoreClient } from './clients/local-core-client.ts';
import { openRegistryCoreClient } from './clients/registry-core-client.ts';
import { ChunkCache } from './delivery/chunk-cache.ts';
import { DeliveryPool } from './delivery/delivery-pool.ts';
import { createAddressOf } from './http/client-address.ts';
import { InFlight } from './http/in-flight.ts';
import { type ListenOn, listenOn } from './http/listen.ts';
import { type Listener, listenPlain, listenTls } from './http/listener.ts';
import { shareOpenFiles } from './http/open-files.ts';
import { oneAtATime } from './http/pipeline.ts';
import { ProxiedConnections } from './http/proxied-connections.ts';
import { type Reached, reachListener } from './http/reach-listener.ts';
import { ADMIN_DRAIN, GATEWAY_LIMITS, type GatewayLimits } from './limits.ts';
import { createMetrics } from './metrics/metrics.ts';
import type { WorkerPlace } from './metrics/workers.ts';
import { isAccountTarget } from './routes/account.ts';
import { type AdminDependencies, adminApplication } from './routes/admin.ts';
import {
  byTrust,
  createApplication,
  createApplicationWithoutTls,
  createBounds,
} from './routes/application.ts';
import { createReadiness } from './routes/readiness.ts';
import { serviceRoutes } from './routes/service.ts';
import type { V2Dependencies } from './routes/v2-request.ts';

export interface GatewayOptions {
  readonly listen: ListenOn;
  readonly admin: ListenOn;
  /** The networks of balancers that write a PROXY header. */
  readonly proxyProtocol?: readonly string[];
  /** The networks of proxies whose `X-Forwarded-For` counts. */
  readonly trustedProxies?: readonly string[];
  /** The URL that clients type. It is the issuer and the audience of tokens, and challenges point to it. */
  readonly url: URL;
  readonly names: UpstreamNames;
  readonly certificate: string;
  readonly key: string;
  /** Returns what is wrong with the certificate and key, and what to do. */
  readonly explainPair?: () => Promise<string | undefined>;
  /**
   * The file with the certificates of the authorities that may issue client certificates. If there is no such
   * file, nobody may.
   */
  readonly clientCa: string;
  /** The certificate of the local CA as PEM, if the local CA issued the server's certificate. */
  readonly ca?: string;
  /** The address on which HTTP is served without TLS; absent if it is not. */
  readonly plain?: ListenOn;
  /** True if `_catalog` is served. */
  readonly catalog: boolean;
  readonly auditFile: string;
  /** The behaviour while the audit log cannot be written. */
  readonly auditOnFull: AuditOnFull;
  /** The name of this node of a cluster. Its audit lines have it. */
  readonly node?: string;
  readonly authSocket: string;
  /** The socket of the account page. Nobody need listen on it. */
  readonly accountSocket: string;
  readonly core: Pick<LocalCoreClientOptions, 'socket' | 'directory' | 'hosted'> | { readonly url: URL };
  /** The most files and connections that this process may have open; absent if there is no limit. */
  readonly openFiles?: number;
  /**
   * The place of this gateway among several, and the directory where they exchange their metrics. Absent if
   * this is the only one.
   */
  readonly worker?: { readonly place: WorkerPlace; readonly directory: string } | undefined;
  readonly log: Logger;
  readonly clock?: Clock;
  /** Only tests set other limits. */
  readonly limits?: GatewayLimits;
}

export interface Gateway extends AsyncDisposable {
  readonly port: number;
  /** Reopens the audit log after somebody has renamed it. */
  reload(): Promise<void>;
}

export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { log, url, names, clock = systemClock, limits = GATEWAY_LIMITS } = options;
  await using stack = new AsyncDisposableStack();
  // It ends last, because a cache hit is recorded when the core has reported to which pull it belongs.
  const { auditFile: file, auditOnFull: onFull, node } = options;
  const record = stack.use(openAudit({ file, onFull, node, log, clock }));
  const auth = stack.use(openAuthClient(options.authSocket, limits.authQuestions));
  const pool = new DeliveryPool();
  const chunks = new ChunkCache(pool);
  const openFiles = shareOpenFiles(options.openFiles ?? Number.POSITIVE_INFINITY);
  const core = stack.use(
    'url' in options.core
      ? openRegistryCoreClient(options.core.url, limits.coreQuestions)
      : await cacheAnswers(
          openLocalCoreClient({ ...options.core, chunks, questions: limits.coreQuestions }),
          {
            log,
            clock,
            chunks,
            blobs: openFiles.blobs,
          },
        ),
  );
  await auth.answers();
  const proxied = proxiedConnections(options);
  const trustedProxies = someNetwork(options.trustedProxies);
  const addressOf = createAddressOf({ trustedProxies, peerOf: proxied?.addressOf });
  let listener: Listener | undefined;
  const certificateEnds = () => listener?.certificateEnds;
  const metrics = stack.use(
    await createMetrics({ auth, core, worker: options.worker, certificateEnds, log }),
  );
  const audit = metrics.audited(record);
  const credentials = stack.use(await followActiveCredentials(auth, log, clock, limits.authSilence));
  const policy = stack.use(await subscribeToPolicy(auth, log));
  const verifyToken = stack.use(
    await createVerifyToken({
      ...{ auth, log, issuer: url.origin, audience: url.host, clock },
      grace: names.hosted && TOKEN_GRACE,
    }),
  );
  if (names.hosted && 'socket' in options.core)
    stack.use(recordRemovals(stack.use(openSocketClient(options.core.socket)), record, log));
  const authorities = stack.use(await followClientAuthorities(options.clientCa, log));
  const byCertificate = createIdentifyByCertificate({ authorities, credentials, clock });
  const authorizeNow = createAuthorize({ policy, names, groupsOf: credentials.groupsOf, clock });
  const dependencies: V2Dependencies = {
    names,
    addressOf,
    authenticate: createAuthenticateClient({ auth, addressOf, byCertificate, verifyToken, credentials }),
    authorizeNow,
    pushableNamespaces: createPushableNamespaces(policy, names, authorizeNow),
    credentials,
    limits: followPolicyLimits(policy, credentials.groupsOf),
    clock,
    core,
    callerOf: createCallerOf(),
    sendWrite: names.hosted && 'socket' in options.core ? createSendWrite(options.core.socket) : undefined,
    pool,
    audit,
    log,
    challenge: { realm: `${url.origin}/token`, service: url.host },
    catalog: options.catalog,
    subjects: new InFlight(limits.inFlight.ofSubject),
  };
  const account = stack.use(openAccountClient(options.accountSocket));
  const services = serviceRoutes({ auth, account, addressOf, byCertificate, audit, ca: options.ca, log });
  const place = options.worker?.place;
  const bounded = createBounds({ metrics, addressOf, inFlight: limits.inFlight, place });
  const everything = createApplication(dependencies, services);
  const reach = async (): Promise<Reached> =>
    listener === undefined ? 'silent' : reachListener({ ...options, port: listener.port, workers: place });
  const readiness = createReadiness({ auth, core, policy, audit, listener: () => listener, reach });
  stack.use(await listenAdmin(options.admin, { readiness, metrics, reach, names: namesOf(options) }));
  // Each listener bounds its own connections. The open files of the process are shared by both listeners.
  const mostConnections = Math.floor(openFiles.connections / (options.plain === undefined ? 1 : 2));
  const common = { mostConnections, times: limits.times, hasSmallBody, proxied, log };
  if (options.plain !== undefined) {
    const anonymous = createApplicationWithoutTls(dependencies, { url, credentials, clock, ca: options.ca });
    const plain = bounded(byTrust(trustedProxies, { trusted: everything, others: anonymous }));
    stack.use(await listenPlain({ ...common, listen: options.plain }, oneAtATime(plain, limits.pipeline)));
  }
  listener = stack.use(
    await listenTls({ ...options, ...common, authorities }, oneAtATime(bounded(everything), limits.pipeline)),
  );
  const running = stack.move();
  return {
    port: listener.port,
    reload: async () => audit.reopen(),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** Returns undefined if the list is empty, so that no address need be compared. */
function someNetwork(cidrs: readonly string[] = []): Network | undefined {
  return cidrs.length > 0 ? networkOf(cidrs) : undefined;
}

function proxiedConnections({ proxyProtocol, limits = GATEWAY_LIMITS, log }: GatewayOptions) {
  const peers = someNetwork(proxyProtocol);
  return peers && new ProxiedConnections({ peers, deadline: limits.times.proxyHeader, log });
}

/** True for a request for a token, and for one of the account page: their forms are small. */
function hasSmallBody({ url = '' }: IncomingMessage): boolean {
  return url === '/token' || url.startsWith('/token?') || isAccountTarget(url);
}

/** Returns the names without ports. */
function namesOf({ url, names, admin }: GatewayOptions): ReadonlySet<string> {
  const all = [url.hostname, ...names.self, ...(admin.host === undefined ? [] : [admin.host])];
  return new Set(all.map((name) => name.toLowerCase().replace(/:\d+$/, '')));
}

async function listenAdmin(
  listen: GatewayOptions['admin'],
  dependencies: AdminDependencies,
): Promise<AsyncDisposable> {
  const server = createServer(adminApplication(dependencies).callback());
  const drain = drained(server, ADMIN_DRAIN);
  await listenOn(server, listen);
  return drain;
}
