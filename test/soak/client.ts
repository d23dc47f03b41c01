import { Agent } from 'node:https';
import { ask, type TestResponse } from '../support/http.ts';
import { basic } from '../support/test-hubgate.ts';
import { PASSWORD, type Principal } from './principals.ts';

const DEADLINE = 60_000;
const TOKEN_USED_FOR = 40_000;

interface Token {
  readonly text: string;
  readonly at: number;
}

export interface ClientOptions {
  readonly port: number;
  readonly ca: string;
}

/** One principal's client: it keeps connections, and tokens while they are young. */
export class SoakClient {
  readonly principal: Principal;
  readonly #options: ClientOptions;
  readonly #tokens = new Map<string, Token>();
  #agent: Agent | undefined;
  #cert: string | undefined;

  constructor(principal: Principal, options: ClientOptions) {
    this.principal = principal;
    this.#options = options;
  }

  /** Asks for `target` with this principal's credential. A refused token is replaced once. */
  async get(
    repository: string,
    target: string,
    { method = 'GET', headers = {} }: { method?: string; headers?: Record<string, string> } = {},
  ): Promise<TestResponse & { readonly since: number }> {
    const since = performance.now();
    const known = this.#tokens.get(repository);
    const isYoung = known !== undefined && since - known.at < TOKEN_USED_FOR;
    const first = await this.#try(repository, target, { method, headers }, isYoung);
    if (first.status !== 401 || !isYoung) return { ...first, since };
    this.#tokens.delete(repository);
    const again = performance.now();
    return { ...(await this.#try(repository, target, { method, headers }, false)), since: again };
  }

  /** Logs in with a wrong password, and returns the status. */
  async logInWrongly(): Promise<number> {
    const headers = { authorization: basic(this.principal.name, 'not the password at all') };
    return (await this.#send('/token?service=x', 'GET', headers)).status;
  }

  close(): void {
    this.#agent?.destroy();
  }

  async #try(
    repository: string,
    target: string,
    { method, headers }: { method: string; headers: Record<string, string> },
    useKnown: boolean,
  ): Promise<TestResponse> {
    const { kind, name, token } = this.principal;
    if (kind === 'certificate') return this.#send(target, method, headers);
    if (!useKnown) {
      const secret = token ?? PASSWORD;
      const login = kind === 'anonymous' ? {} : { authorization: basic(name, secret) };
      const answer = await this.#send(
        `/token?service=localhost:${this.#options.port}&scope=repository:${repository}:pull`,
        'GET',
        login,
      );
      if (answer.status !== 200) return answer;
      const text = JSON.parse(answer.body.toString()).token;
      this.#tokens.set(repository, { text, at: performance.now() });
    }
    const bearer = this.#tokens.get(repository)?.text;
    return this.#send(target, method, { ...headers, authorization: `Bearer ${bearer}` });
  }

  #send(path: string, method: string, headers: Record<string, string>): Promise<TestResponse> {
    const { ca, port } = this.#options;
    return ask({
      tls: true,
      host: 'localhost',
      port,
      path,
      method,
      headers,
      agent: this.#agentNow(ca),
      signal: AbortSignal.timeout(DEADLINE),
    });
  }

  #agentNow(ca: string): Agent {
    const { certificate } = this.principal;
    if (this.#agent === undefined || this.#cert !== certificate?.cert) {
      this.#agent?.destroy();
      this.#cert = certificate?.cert;
      this.#agent = new Agent({ ca, keepAlive: true, maxCachedSessions: 0, ...certificate });
    }
    return this.#agent;
  }
}
