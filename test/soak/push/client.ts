import type { ClientRequest } from 'node:http';
import { Agent, request as requestHttps } from 'node:https';
import { ask, type TestResponse } from '../../support/http.ts';
import { basic } from '../../support/test-hubgate.ts';
import type { Findings } from '../findings.ts';
import type { Outages } from './outages.ts';

const DEADLINE = 60_000;
const TOKEN_USED_FOR = 40_000;

export interface Answer extends TestResponse {
  /** The monotonic times between which the answer was decided. */
  readonly from: number;
  readonly until: number;
}

export interface PushClientOptions {
  readonly name: string;
  /** Its service token. */
  readonly secret: string;
  readonly actions: string;
  readonly port: number;
  readonly ca: string;
  readonly findings: Findings;
  readonly outages: Outages;
}

export interface PushRequest {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

/** One principal's client: it keeps connections, and tokens while they are young. */
export class PushClient {
  readonly name: string;
  readonly #options: PushClientOptions;
  readonly #agent: Agent;
  readonly #tokens = new Map<string, { readonly text: string; readonly at: number }>();

  constructor(options: PushClientOptions) {
    this.name = options.name;
    this.#options = options;
    this.#agent = new Agent({ ca: options.ca, keepAlive: true });
  }

  /**
   * Resolves to undefined if the registry has not answered, or only that it cannot: the outcome is unknown
   * then.
   */
  async send(
    repository: string,
    method: string,
    resource: string,
    request: PushRequest = {},
  ): Promise<Answer | undefined> {
    const { findings, outages } = this.#options;
    const began = performance.now();
    const what = `${this.name} ${method} ${repository}/${resource}`;
    try {
      const answer = await this.#authorized(repository, method, `/v2/${repository}/${resource}`, request);
      findings.count('requests');
      findings.count(`answers ${answer.status}`);
      if (answer.status < 500 && answer.status !== 401 && answer.status !== 429) return answer;
      outages.failed(what, began, `status ${answer.status}`);
    } catch (error) {
      const { name, message } = error as Error;
      if (name === 'TimeoutError' || name === 'AbortError')
        findings.anomaly('a request had no answer within a minute', what);
      outages.failed(what, began, message);
    }
    return undefined;
  }

  /** Begins a request with a body, and breaks it off in the middle. */
  async breakOff(repository: string, method: string, resource: string, body: Buffer): Promise<void> {
    const { port } = this.#options;
    const { promise, resolve } = Promise.withResolvers<void>();
    const request: ClientRequest = requestHttps({
      ...{ host: 'localhost', port, path: `/v2/${repository}/${resource}`, method, agent: this.#agent },
      headers: {
        ...{ authorization: `Bearer ${this.#tokens.get(repository)?.text}` },
        ...{ 'content-length': String(body.length), 'content-type': 'application/octet-stream' },
      },
    });
    request.on('error', () => {});
    request.on('close', resolve);
    request.write(body.subarray(0, body.length / 2), () => request.destroy());
    await promise;
  }

  close(): void {
    this.#agent.destroy();
  }

  async #authorized(repository: string, method: string, path: string, request: PushRequest): Promise<Answer> {
    const known = this.#tokens.get(repository);
    const isYoung = known !== undefined && performance.now() - known.at < TOKEN_USED_FOR;
    if (isYoung) {
      const first = await this.#send(method, path, request, `Bearer ${known.text}`);
      if (first.status !== 401) return first;
    }
    const { name, secret, actions, port } = this.#options;
    const scope = `repository:${repository}:${actions}`;
    const target = `/token?service=localhost:${port}&scope=${scope}`;
    const answer = await this.#send('GET', target, {}, basic(name, secret));
    if (answer.status !== 200) return answer;
    const { token } = JSON.parse(answer.body.toString());
    this.#tokens.set(repository, { text: token, at: answer.from });
    return this.#send(method, path, request, `Bearer ${token}`);
  }

  async #send(
    method: string,
    path: string,
    { headers, body }: PushRequest,
    authorization: string,
  ): Promise<Answer> {
    const from = performance.now();
    const response = await ask({
      ...{ tls: true, host: 'localhost', port: this.#options.port, path, method, agent: this.#agent },
      headers: {
        authorization,
        ...(method !== 'GET' && method !== 'HEAD' && { 'content-length': String(body?.length ?? 0) }),
        ...headers,
      },
      ...(body && { send: body }),
      signal: AbortSignal.timeout(DEADLINE),
    });
    return { ...response, from, until: performance.now() };
  }
}
