import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startAccount } from '../../src/account/account.ts';
import { type Auth, startAuth } from '../../src/auth/auth.ts';
import type { DelayLimits } from '../../src/auth/identity/login-delays.ts';
import { hashPassword, type PasswordParameters } from '../../src/auth/identity/password.ts';
import { formatServiceToken, hashOfSecret, makeServiceToken } from '../../src/auth/identity/service-token.ts';
import { editUsers, readUsers, removeUser, setPassword } from '../../src/auth/identity/users-file.ts';
import type { AuthState, StoredToken } from '../../src/auth/state/auth-state.ts';
import { openAuthState } from '../../src/auth/state/sqlite-state.ts';
import { rotateSigningKey } from '../../src/auth/token/signing-key-file.ts';
import { type Config, settingsFor } from '../../src/config/config.ts';
import { type HomePaths, pathsIn } from '../../src/config/home.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import { type CoreOptions, type RunningCore, startCore } from '../../src/core/core.ts';
import { type Gateway, startGateway } from '../../src/gateway/gateway.ts';
import { GATEWAY_LIMITS, type GatewayLimits } from '../../src/gateway/limits.ts';
import { prepareStart } from '../../src/launch/prepare.ts';
import {
  accountPageOptions,
  authOptions,
  coreOptions,
  gatewayOptions,
} from '../../src/launch/role-options.ts';
import { issueClientCertificate } from '../../src/pki/client-certificate.ts';
import { formatFault } from '../../src/platform/fault.ts';
import { readAuditLog } from './audit-log.ts';
import type { FakeHub } from './fake-hub.ts';
import { freePort } from './free-port.ts';
import { ask, type TestRequest, type TestResponse } from './http.ts';
import { ACCOUNT, PATIENT_LIMITS } from './test-core.ts';
import { type LoggedLine, testLog } from './test-log.ts';

/** The password of every user of the test. */
export const PASSWORD = 'correct horse battery staple';
/**
 * Hashes of the cost that a configuration may say would take a third of the CPU of most tests of a gateway.
 */
const CHEAP: PasswordParameters = { memory: 2 ** 20, passes: 2 };
const HASH = hashPassword(PASSWORD, CHEAP);

const DAY = 24 * 60 * 60 * 1000;

/** Sections of hubgate.yaml, as a user would write them. */
type Configuration = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

export interface TestHubgateOptions {
  /** The rules of access.yaml, without its first and last line. */
  readonly policy: string;
  readonly users?: readonly string[];
  /** The port of the public listener, if others must know it before; by default a free one. */
  readonly port?: number;
  /** What hubgate.yaml says besides the addresses and the upstream docker.io, which is the stand-in Hub. */
  readonly configuration?: Configuration;
  /** What only tests give to the core, such as other limits. */
  readonly core?: Partial<CoreOptions>;
  /** The cost of a hash; by default a low one. */
  readonly passwords?: PasswordParameters;
  /** The delays for those who guess passwords. */
  readonly delays?: DelayLimits;
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

/**
 * All three roles in this process, with a stand-in Hub and a home of their own. They are prepared and
 * configured as a start does it; a test has its own clock, log and limits.
 */
export class TestHubgate implements AsyncDisposable {
  readonly paths: HomePaths;
  readonly port: number;
  readonly adminPort: number;
  /** In milliseconds: how far the roles' clock is ahead. */
  ahead = 0;
  /** The lines that the roles logged. */
  readonly log: LoggedLine[] = [];
  readonly #hub: FakeHub;
  readonly #options: TestHubgateOptions;
  readonly #common = { log: testLog(this.log), clock: () => Date.now() + this.ahead };
  readonly #roles = new AsyncDisposableStack();
  #config!: Config;
  #ca = '';
  #core: RunningCore | undefined;
  #auth: Auth | undefined;
  #gateway: Gateway | undefined;
  #account: AsyncDisposable | undefined;
  readonly #added: Gateway[] = [];

  static async start(hub: FakeHub, options: TestHubgateOptions): Promise<TestHubgate> {
    const home = await mkdtemp(path.join(tmpdir(), 'hubgate-'));
    const hubgate = new TestHubgate(home, options.port ?? (await freePort()), await freePort(), hub, options);
    await using stack = new AsyncDisposableStack();
    stack.use(hubgate);
    await hubgate.#prepare();
    if (hubgate.#config.coreUrl === undefined) await hubgate.restartCore();
    await hubgate.restartAuth();
    hubgate.#gateway = await hubgate.#startGateway(hubgate.#config);
    stack.move();
    return hubgate;
  }

  private constructor(
    home: string,
    port: number,
    adminPort: number,
    hub: FakeHub,
    options: TestHubgateOptions,
  ) {
    this.paths = pathsIn(home);
    this.port = port;
    this.adminPort = adminPort;
    this.#hub = hub;
    this.#options = options;
  }

  get home(): string {
    return this.paths.home;
  }

  /** The certificate of the local CA. */
  get ca(): string {
    return this.#ca;
  }

  get auditFile(): string {
    return this.#config.log.audit;
  }

  async #prepare(): Promise<void> {
    const { users = ['ana'], policy, configuration } = this.#options;
    await mkdir(path.dirname(this.paths.policy));
    const { passwords } = this.#options;
    const hash = await (passwords ? hashPassword(PASSWORD, passwords) : HASH);
    for (const user of users) await setPassword(this.paths.users, user, hash);
    await writeFile(this.paths.policy, policyText(policy));
    await this.#configure(configuration);
    const { ca = '' } = await prepareStart(this.#config, this.paths);
    this.#ca = ca;
  }

  /** Writes hubgate.yaml and loads it, as a start does. */
  async #configure({ server, upstreams, cache, core, ...sections }: Configuration = {}): Promise<void> {
    const hub = { 'docker.io': { url: this.#hub.url, ...ACCOUNT } };
    const written = {
      server: {
        url: `https://localhost:${this.port}`,
        names: [],
        listen: `:${this.port}`,
        admin: `127.0.0.1:${this.adminPort}`,
        ...server,
      },
      // An external core has the credential itself.
      ...(core ? { core } : { upstreams: { ...hub, ...upstreams } }),
      cache: { maxSize: '1024GiB', ...cache },
      ...sections,
    };
    await writeFile(path.join(this.home, 'config/hubgate.yaml'), JSON.stringify(written, null, 2));
    const loaded = await loadConfig({
      directory: this.home,
      environment: {},
      readsSecrets: true,
      servesClients: true,
    });
    if ('faults' in loaded) throw new Error(loaded.faults.map(formatFault).join('\n'));
    this.#config = loaded.value;
  }

  async #startGateway(config: Config): Promise<Gateway> {
    const options = await gatewayOptions(asSent(settingsFor('gateway', config)), this.paths);
    const limits = { ...GATEWAY_LIMITS, ...this.#options.limits };
    return this.#roles.use(await startGateway({ ...options, ...this.#common, limits }));
  }

  /** Starts another gateway of the same mirror, on a port of its own. */
  async addGateway(): Promise<number> {
    const { server } = this.#config;
    const [listen, admin] = [{ port: await freePort() }, { ...server.admin, port: await freePort() }];
    const gateway = await this.#startGateway({ ...this.#config, server: { ...server, listen, admin } });
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
    const { policy } = this.paths;
    await writeFile(`${policy}.new`, text);
    await rename(`${policy}.new`, policy);
  }

  /** Issues a client certificate by the local CA. */
  async issueCertificate(name: string, days = 1): Promise<{ readonly cert: string; readonly key: string }> {
    const { ca } = this.paths;
    const { certificate, key = '' } = await issueClientCertificate({ ca, name, days, clock: Date.now });
    return { cert: certificate.toString(), key };
  }

  setPassword(user: string, hash: string): Promise<void> {
    return setPassword(this.paths.users, user, hash);
  }

  /** Opens the state that auth and the commands share. */
  openState(): AuthState {
    return openAuthState(this.paths.authState);
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
      label: null,
      ...times,
      ...more,
    });
    return { id, text: formatServiceToken({ id, secret }) };
  }

  async #idOf(user: string): Promise<string | null> {
    const users = await readUsers(this.paths.users);
    return ('value' in users ? users.value.get(user)?.id : undefined) ?? null;
  }

  rotateKeys(): Promise<void> {
    return rotateSigningKey(this.paths.signingKey);
  }

  async setDisabled(user: string, isDisabled: boolean): Promise<void> {
    await editUsers(this.paths.users, () => new Map([[user, { isDisabled }]]));
  }

  removeUser(user: string): Promise<void> {
    return removeUser(this.paths.users, user);
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
    const options = await coreOptions(asSent(this.#config), this.paths);
    this.#core = await startCore({
      ...options,
      ...this.#common,
      limits: PATIENT_LIMITS,
      ...this.#options.core,
    });
    this.#roles.use(this.#core);
  }

  /** Starts the account page, which only some tests need. */
  async startAccount(): Promise<void> {
    const options = await accountPageOptions(asSent(settingsFor('account', this.#config)), this.paths);
    this.#account = this.#roles.use(await startAccount({ ...options, ...this.#common }));
  }

  async stopAccount(): Promise<void> {
    await this.#account?.[Symbol.asyncDispose]();
  }

  /** Does what SIGHUP does, which also confirms people of directories. */
  async reloadAuth(): Promise<void> {
    await this.#auth?.reload();
  }

  async stopAuth(): Promise<void> {
    await this.#auth?.[Symbol.asyncDispose]();
  }

  /** Restarts auth, with another configuration if it is given, as after an edit of hubgate.yaml. */
  async restartAuth(configuration?: Configuration): Promise<void> {
    await this.stopAuth();
    if (configuration !== undefined) await this.#configure(configuration);
    const options = await authOptions(asSent(settingsFor('auth', this.#config)), this.paths);
    const { delays, passwords = CHEAP } = this.#options;
    this.#auth = await startAuth({ ...options, ...this.#common, passwords, ...(delays && { delays }) });
    this.#roles.use(this.#auth);
  }

  audit(): Promise<Record<string, unknown>[]> {
    return readAuditLog(this.auditFile);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#roles.disposeAsync();
    await rm(this.home, { recursive: true });
  }
}

/** Returns the settings as a role receives them from the supervisor: as JSON. */
function asSent(settings: Config): Config {
  return JSON.parse(JSON.stringify(settings));
}

function policyText(rules: string): string {
  return `version: 1\n${rules}\n...\n`;
}

export function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}
