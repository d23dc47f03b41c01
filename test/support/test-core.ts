import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type CoreOptions, startCore } from '../../src/core/core.ts';
import type { CoreLimits } from '../../src/core/limits.ts';
import { formatLine } from '../../src/platform/ipc/json-lines.ts';
import { createLogger } from '../../src/platform/log.ts';
import type { CachedRepositories, CacheHit } from '../../src/protocol/core-api.ts';
import type { UpstreamHost } from '../../src/registry/repository.ts';
import type { FakeHub } from './fake-hub.ts';
import { ask, type TestRequest, type TestResponse } from './http.ts';
import { waitFor } from './wait-for.ts';

export const QUIET = createLogger('test', { level: 'error', format: 'json' });
QUIET.level = 'silent';

const DAY = 24 * 60 * 60 * 1000;

/** The limits for tests in which an upstream hangs on purpose. A busy machine can exceed them on its own. */
export const SHORT_LIMITS: CoreLimits = {
  connect: 1000,
  headers: 1000,
  idle: 15_000,
  bodyIdle: 1000,
  waiting: 256,
  token: 1000,
  question: 3000,
  revalidation: 1000,
  resumptions: 5,
  resumeAfter: 5,
  breakAfter: 5,
  breakWithin: 10_000,
  probeAfter: 50,
  probeAtMost: 50,
  sweepEvery: 60_000,
  sweepAfterGrowth: 60_000,
  probeCacheEvery: 50,
  subjectDownloads: 2 ** 40,
};

/** The limits for all other tests: a busy machine stays within them, and nobody waits for them. */
export const PATIENT_LIMITS: CoreLimits = {
  ...SHORT_LIMITS,
  connect: 15_000,
  headers: 15_000,
  bodyIdle: 15_000,
  token: 15_000,
  question: 45_000,
  revalidation: 15_000,
};

export const ACCOUNT = { username: 'acme-mirror', password: 'hub-p4ss:w%rd' };

/**
 * Makes a request to the core for `library/alpine/manifests/latest` of an upstream, as a gateway sends it.
 */
export function handedOver(target: string, grant: string, upstream = 'docker.io') {
  const [, repository = '', resource = ''] =
    /^(.+)\/((?:manifests|blobs|referrers)\/[^/]+|tags\/list.*)$/.exec(target) ?? [];
  const headers = { 'hubgate-grant': grant, 'hubgate-upstream': upstream, 'hubgate-path': repository };
  return { path: `/pull/${resource}`, headers };
}

/** A core in this process, with a stand-in Hub and a clock of the test. */
export class TestCore implements AsyncDisposable {
  readonly directory: string;
  /** In milliseconds. The test changes it. */
  now = Date.parse('2026-11-22T12:00:00Z');
  #options: CoreOptions;
  #running: AsyncDisposable;

  /** `options` may depend on the directory of the test. */
  static async start(
    hub: Pick<FakeHub, 'url'>,
    options: Partial<CoreOptions> | ((directory: string) => Partial<CoreOptions>) = {},
  ): Promise<TestCore> {
    const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-core-'));
    let core: TestCore | undefined;
    const complete: CoreOptions = {
      socket: path.join(directory, 'core.sock'),
      directory: path.join(directory, 'data'),
      upstreams: [{ host: 'docker.io' as UpstreamHost, url: hub.url, credential: ACCOUNT }],
      tagFreshness: 60_000,
      staleIfError: 7 * DAY,
      maxSize: 2 ** 40,
      unusedFor: 0,
      log: QUIET,
      clock: () => core?.now ?? 0,
      limits: PATIENT_LIMITS,
      ...(typeof options === 'function' ? options(directory) : options),
    };
    core = new TestCore(directory, complete, await startCore(complete));
    return core;
  }

  private constructor(directory: string, options: CoreOptions, running: AsyncDisposable) {
    this.directory = directory;
    this.#options = options;
    this.#running = running;
  }

  ask(
    target: string,
    { method = 'GET', grant = 'public', upstream = 'docker.io', headers = {} } = {},
  ): Promise<TestResponse> {
    const asked = handedOver(target, grant, upstream);
    const socketPath = this.#options.socket;
    return ask({ socketPath, method, ...asked, headers: { ...asked.headers, ...headers } });
  }

  /** Sends any request over the socket of the core. */
  send(request: TestRequest): Promise<TestResponse> {
    return ask({ socketPath: this.#options.socket, ...request });
  }

  /** Reports a gateway's cache hits, and returns the pulls to which they belong. */
  async served(served: readonly CacheHit[]): Promise<readonly (string | null)[]> {
    const send = formatLine(served);
    const { body } = await ask({ socketPath: this.#options.socket, path: '/hits', method: 'POST', send });
    return JSON.parse(body.toString());
  }

  /** Removes a repository, or one reference of it, from the cache, and returns the status of the answer. */
  async purge(repository: string, reference: string | null = null): Promise<number> {
    const send = JSON.stringify({ repository, reference });
    const { socket: socketPath } = this.#options;
    return (await ask({ socketPath, path: '/cache/purge', method: 'POST', send })).status;
  }

  /** Asks for one of the operations of operators. */
  async operation(path: string, method = 'GET'): Promise<unknown> {
    const { body } = await ask({ socketPath: this.#options.socket, path, method });
    return JSON.parse(body.toString());
  }

  /** Lists the content of the cache. */
  async repositories(): Promise<CachedRepositories> {
    const { body } = await ask({ socketPath: this.#options.socket, path: '/cache' });
    return JSON.parse(body.toString());
  }

  /**
   * Returns a blob's bytes, read as the gateway reads them: from the place in the answer, when it is
   * complete.
   */
  async blob(target: string, grant = 'public', upstream = 'docker.io'): Promise<Buffer | number> {
    const { status, body } = await this.ask(target, { grant, upstream });
    if (status !== 200) return status;
    const lines = body
      .toString()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    if (lines.length > 1 && lines.at(-1).kind !== 'verified') return 0;
    const digest = target.split('/').at(-1) ?? '';
    await waitFor(() =>
      this.content(digest).then(
        () => true,
        () => false,
      ),
    );
    return this.content(digest);
  }

  /** Sends a request, and returns the answer as soon as its headers have arrived. */
  async open(target: string, grant = 'public'): Promise<IncomingMessage> {
    const started = request({ socketPath: this.#options.socket, ...handedOver(target, grant) });
    started.end();
    const [response] = await once(started, 'response');
    return response;
  }

  /** Sends a request, and disconnects as soon as the answer has begun. */
  async leave(target: string): Promise<void> {
    const response = await this.open(target);
    await once(response, 'data');
    response.destroy();
  }

  /** Returns the content of a digest, straight from the disk. */
  content(text: string): Promise<Buffer> {
    const hex = text.split(':').at(-1) ?? '';
    return readFile(path.join(this.#options.directory, 'blobs/sha256', hex.slice(0, 2), hex));
  }

  get socket(): string {
    return this.#options.socket;
  }

  /** Stops the core, and starts it again on the same cache, after `meanwhile`. */
  async restart(options: Partial<CoreOptions> = {}, meanwhile?: () => Promise<void>): Promise<void> {
    await this.#running[Symbol.asyncDispose]();
    await meanwhile?.();
    this.#options = { ...this.#options, ...options };
    this.#running = await startCore(this.#options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running[Symbol.asyncDispose]();
    await rm(this.directory, { recursive: true });
  }
}
