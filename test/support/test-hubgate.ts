import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startAuth } from '../../src/auth/auth.ts';
import type { DelayLimits } from '../../src/auth/identity/login-delays.ts';
import { hashPassword } from '../../src/auth/identity/password.ts';
import { formatServiceToken, hashOfSecret, makeServiceToken } from '../../src/auth/identity/service-token.ts';
import { editUsers, readUsers, removeUser, setPassword } from '../../src/auth/identity/users-file.ts';
import type { AuthState, StoredToken } from '../../src/auth/state/auth-state.ts';
import { openAuthState } from '../../src/auth/state/sqlite-state.ts';
import { ensureSigningKey, rotateSigningKey } from '../../src/auth/token/signing-key-file.ts';
import type { Federation } from '../../src/config/federation.ts';
import { pathsIn } from '../../src/config/home.ts';
import { type CoreOptions, type RunningCore, startCore } from '../../src/core/core.ts';
import type { UploadLimits } from '../../src/core/hosted/limits.ts';
import type { NamespaceRules } from '../../src/core/hosted/namespace.ts';
import type { UpstreamCredential } from '../../src/core/upstream/upstream.ts';
import { type Gateway, startGateway } from '../../src/gateway/gateway.ts';
import { GATEWAY_LIMITS, type GatewayLimits } from '../../src/gateway/limits.ts';
import { explainPair } from '../../src/launch/server-certificate.ts';
import { issueClientCertificate } from '../../src/pki/client-certificate.ts';
import { ensureServerCertificate } from '../../src/pki/local-ca.ts';
import type { AuditOnFull } from '../../src/platform/audit-on-full.ts';
import type { UpstreamHost } from '../../src/registry/repository.ts';
import type { FakeHub } from './fake-hub.ts';
import { freePort } from './free-port.ts';
import { ask, type TestRequest, type TestResponse } from './http.ts';
import { ACCOUNT, PATIENT_LIMITS } from './test-core.ts';
import { type LoggedLine, testLog } from './test-log.ts';

/** The password of every user of the test. */
export const PASSWORD = 'correct horse battery staple';
const HASH = hashPassword(PASSWORD);

const DAY = 24 * 60 * 60 * 1000;

export interface TestHubgateOptions {
  /** The rules of access.yaml, without its first and last line. */
  readonly policy: string;
  readonly users?: readonly string[];
  /** The credential for docker.io. */
  readonly credential?: UpstreamCredential;
  /** The upstreams besides docker.io. */
  readonly upstreams?: Readonly<Record<string, URL>>;
  /** The URL of a core in place of the built-in one. */
  readonly coreUrl?: URL;
  readonly auditFile?: string;
  /** The directory of the cache; by default it is in the home. */
  readonly cache?: string;
  readonly core?: Partial<CoreOptions>;
  readonly auditOnFull?: AuditOnFull;
  readonly catalog?: boolean;
  readonly proxyProtocol?: readonly string[];
  readonly trustedProxies?: readonly string[];
  /** The port of a listener without TLS. */
  readonly plain?: number;
  /** In milliseconds. */
  readonly refreshLifetime?: number;
  /** The delays for those who guess passwords. */
  readonly delays?: DelayLimits;
  readonly federations?: readonly Federation[];
  /** The namespaces of hosted repositories; absent if nothing is hosted. */
  readonly hosted?: readonly NamespaceRules[];
  readonly uploadLimits?: UploadLimits;
  /** The limits of the gateway, if they differ from the standard ones. */
  readonly limits?: Partial<GatewayLimits>;
}

export interface Caller {
  /** The user of a Basic login. */
  readonly user?: string;
  readonly password?: string;
  readonly token?: string;
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly send?: string | Uint8Array;
}

/** All three roles in this process, with a stand-in Hub and a home of their own. */
export class TestHubgate implements AsyncDisposable {
  readonly home: string;
  readonly port: number;
  readonly adminPort: number;
  readonly ca: string;
  /** In milliseconds: how far the roles' clock is ahead. */
  ahead = 0;
  /** The lines that the roles logged. */
  readonly log: LoggedLine[] = [];
  readonly #roles = new AsyncDisposableStack();
  #startCore: (() => Promise<RunningCore>) | undefined;
  #core: RunningCore | undefined;
  #auth: AsyncDisposable | undefined;
  #startAuth: ((federations?: readonly Federation[]) => Promise<AsyncDisposable>) | undefined;
  #gateway: Gateway | undefined;
  readonly #added: Gateway[] = [];
  #startGateway: ((port: number, adminPort: number) => Promise<Gateway>) | undefined;

  static async start(hub: FakeHub, options: TestHubgateOptions): Promise<TestHubgate> {
    const home = await mkdtemp(path.join(tmpdir(), 'hubgate-'));
    const at = (name: string) => path.join(home, name);
    for (const user of options.users ?? ['ana']) await setPassword(at('users.yaml'), user, await HASH);
    await writeFile(at('access.yaml'), policyText(options.policy));
    await ensureSigningKey(at('key.pem'));
    const server = { certificate: at('server.crt'), key: at('server.key') };
    const ca = await ensureServerCertificate({
      ca: { certificate: at('ca.crt'), key: at('ca.key') },
      server,
      names: ['localhost', '127.0.0.1'],
      clock: Date.now,
    });
    const hubgate = new TestHubgate(home, await freePort(), await freePort(), ca ?? '');
    await hubgate.#start(hub, options, server);
    return hubgate;
  }

  private constructor(home: string, port: number, adminPort: number, ca: string) {
    this.home = home;
    this.port = port;
    this.adminPort = adminPort;
    this.ca = ca;
  }

  async #start(
    hub: FakeHub,
    options: TestHubgateOptions,
    server: { certificate: string; key: string },
  ): Promise<void> {
    const at = (name: string) => path.join(this.home, name);
    const clock = () => Date.now() + this.ahead;
    const url = new URL(`https://localhost:${this.port}`);
    const upstreams = [
      { host: 'docker.io' as UpstreamHost, url: hub.url, credential: options.credential ?? ACCOUNT },
      ...Object.entries(options.upstreams ?? {}).map(([host, at]) => ({
        host: host as UpstreamHost,
        url: at,
      })),
    ];
    const names = {
      upstreams: new Set(upstreams.map(({ host }) => host)),
      self: new Set([url.host]),
      hosted: options.hosted && new Set(options.hosted.map(({ name }) => name)),
    };
    const hosted = options.hosted && {
      hosted: {
        directory: at('hosted'),
        namespaces: options.hosted,
        ...(options.uploadLimits && { limits: options.uploadLimits }),
      },
    };
    const log = testLog(this.log);
    const common = { names, log, clock };
    const core = { socket: at('core.sock'), directory: options.cache ?? at('data') };
    const rules = { tagFreshness: 60_000, staleIfError: 7 * DAY, maxSize: 2 ** 40, unusedFor: 0 };
    if (options.coreUrl === undefined) {
      const limits = PATIENT_LIMITS;
      this.#startCore = () =>
        startCore({ ...core, ...rules, upstreams, log, clock, limits, ...hosted, ...options.core });
      this.#core = await this.#startCore();
      this.#roles.use(this.#core);
    }
    this.#startAuth = (federations = options.federations ?? []) =>
      startAuth({
        ...common,
        federations,
        socket: at('auth.sock'),
        usersFile: at('users.yaml'),
        stateFile: at('auth.db'),
        policyFile: at('access.yaml'),
        lastPolicyFile: at('last-policy.json'),
        keyFile: at('key.pem'),
        url,
        tokenLifetime: 300_000,
        ...(options.delays && { delays: options.delays }),
        passwords: { memory: 19 * 2 ** 20, passes: 2 },
        ...(options.refreshLifetime !== undefined && { refreshLifetime: options.refreshLifetime }),
      });
    this.#auth = await this.#startAuth();
    this.#roles.use(this.#auth);
    this.#startGateway = (port, adminPort) =>
      startGateway({
        ...common,
        ...server,
        explainPair: () => explainPair({ tls: server }, pathsIn(this.home)),
        listen: { port },
        admin: { host: '127.0.0.1', port: adminPort },
        url,
        ca: this.ca,
        clientCa: at('ca.crt'),
        auditFile: options.auditFile ?? at('audit.log'),
        auditOnFull: options.auditOnFull ?? 'wait',
        authSocket: at('auth.sock'),
        catalog: options.catalog ?? false,
        proxyProtocol: options.proxyProtocol ?? [],
        trustedProxies: options.trustedProxies ?? [],
        ...(options.plain !== undefined && { plain: { port: options.plain } }),
        limits: { ...GATEWAY_LIMITS, ...options.limits },
        core:
          options.coreUrl === undefined
            ? { ...core, ...(hosted && { hosted: at('hosted') }) }
            : { url: options.coreUrl },
      });
    this.#gateway = await this.#startGateway(this.port, this.adminPort);
    this.#roles.use(this.#gateway);
  }

  /** Starts another gateway of the same mirror, on a port of its own. */
  async addGateway(): Promise<number> {
    const gateway = await this.#startGateway?.(await freePort(), await freePort());
    if (gateway === undefined) throw new Error('there is no gateway yet');
    this.#roles.use(gateway);
    this.#added.push(gateway);
    return gateway.port;
  }

  /** Stops them as SIGTERM does. */
  async stopAddedGateways(): Promise<void> {
    for (const gateway of this.#added.splice(0)) await gateway[Symbol.asyncDispose]();
  }

  /** Sends one request to the public listener, with the target as it is written. */
  ask(
    target: string,
    { user, password = PASSWORD, token, method = 'GET', headers = {}, send }: Caller = {},
  ): Promise<TestResponse> {
    const authorization =
      token !== undefined ? `Bearer ${token}` : user === undefined ? undefined : basic(user, password);
    return this.send({
      path: target,
      method,
      headers: { ...headers, ...(authorization && { authorization }) },
      ...(send !== undefined && { send }),
    });
  }

  send(request: TestRequest): Promise<TestResponse> {
    return ask({
      ...request,
      tls: true,
      host: 'localhost',
      port: request.port ?? this.port,
      ca: this.ca,
      servername: 'localhost',
    });
  }

  /** Gets a token as docker does. */
  token(user: string | undefined, ...repositories: string[]): Promise<string> {
    return this.scopedToken(user, ...repositories.map((name) => `repository:${name}:pull`));
  }

  async scopedToken(user: string | undefined, ...wanted: string[]): Promise<string> {
    const scopes = wanted.map((scope) => `scope=${encodeURIComponent(scope)}`);
    const target = `/token?service=localhost&${scopes.join('&')}`;
    const { status, body } = await this.ask(target, user === undefined ? {} : { user });
    if (status !== 200) throw new Error(`no token: ${status} ${body}`);
    return JSON.parse(body.toString()).token;
  }

  /** Replaces the policy as editors do: by renaming a file over it. */
  async setPolicy(rules: string): Promise<void> {
    await this.writePolicy(policyText(rules));
  }

  async writePolicy(text: string): Promise<void> {
    const file = path.join(this.home, 'access.yaml');
    await writeFile(`${file}.new`, text);
    await rename(`${file}.new`, file);
  }

  /** Issues a client certificate by the local CA. */
  async issueCertificate(name: string, days = 1): Promise<{ readonly cert: string; readonly key: string }> {
    const ca = { certificate: path.join(this.home, 'ca.crt'), key: path.join(this.home, 'ca.key') };
    const { certificate, key = '' } = await issueClientCertificate({ ca, name, days, clock: Date.now });
    return { cert: certificate.toString(), key };
  }

  setPassword(user: string, hash: string): Promise<void> {
    return setPassword(path.join(this.home, 'users.yaml'), user, hash);
  }

  /** Opens the state that auth and the commands share. */
  openState(): AuthState {
    return openAuthState(path.join(this.home, 'auth.db'));
  }

  /** Makes a service token of `owner`, as text. */
  async giveToken(owner: string, more: Partial<StoredToken> = {}): Promise<{ id: string; text: string }> {
    const { id, secret } = makeServiceToken();
    const now = Date.now() + this.ahead;
    const times = { createdAt: now, expiresAt: now + DAY, lastUsedAt: null, lastUsedFrom: null };
    await using state = this.openState();
    await state.putToken({
      id,
      owner,
      hash: hashOfSecret(secret),
      ownerId: await this.#idOf(owner),
      pull: null,
      from: null,
      warnedAt: null,
      ...times,
      ...more,
    });
    return { id, text: formatServiceToken({ id, secret }) };
  }

  async #idOf(user: string): Promise<string | null> {
    const users = await readUsers(path.join(this.home, 'users.yaml'));
    return ('value' in users ? users.value.get(user)?.id : undefined) ?? null;
  }

  rotateKeys(): Promise<void> {
    return rotateSigningKey(path.join(this.home, 'key.pem'));
  }

  async setDisabled(user: string, isDisabled: boolean): Promise<void> {
    await editUsers(path.join(this.home, 'users.yaml'), () => new Map([[user, { isDisabled }]]));
  }

  removeUser(user: string): Promise<void> {
    return removeUser(path.join(this.home, 'users.yaml'), user);
  }

  /** Does what SIGHUP does. */
  async reloadGateway(): Promise<void> {
    await this.#gateway?.reload();
  }

  /** Stops it as SIGTERM does. */
  async stopGateway(): Promise<void> {
    await this.#gateway?.[Symbol.asyncDispose]();
  }

  /** Does what SIGHUP does. */
  async reloadCore(): Promise<void> {
    await this.#core?.reload();
  }

  async stopCore(): Promise<void> {
    await this.#core?.[Symbol.asyncDispose]();
  }

  async restartCore(): Promise<void> {
    await this.stopCore();
    this.#core = await this.#startCore?.();
    if (this.#core !== undefined) this.#roles.use(this.#core);
  }

  async stopAuth(): Promise<void> {
    await this.#auth?.[Symbol.asyncDispose]();
  }

  /** Restarts auth, with other federations if they are given, as after an edit of hubgate.yaml. */
  async restartAuth(federations?: readonly Federation[]): Promise<void> {
    await this.stopAuth();
    this.#auth = await this.#startAuth?.(federations);
    if (this.#auth !== undefined) this.#roles.use(this.#auth);
  }

  async audit(): Promise<Record<string, unknown>[]> {
    const text = await readFile(path.join(this.home, 'audit.log'), 'utf8');
    return text
      .trim()
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#roles.disposeAsync();
    await rm(this.home, { recursive: true });
  }
}

function policyText(rules: string): string {
  return `version: 1\n${rules}\n...\n`;
}

export function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}
