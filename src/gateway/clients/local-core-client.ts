import path from 'node:path';
import { z } from 'zod';
import { askPeer, isCutOff, PeerFailed, parseAnswer } from '../../platform/ipc/ask-peer.ts';
import {
  type HttpClient,
  type HttpRequest,
  type HttpResponse,
  openSocketClient,
} from '../../platform/ipc/http-client.ts';
import { readLines } from '../../platform/ipc/json-lines.ts';
import { LineExchange } from '../../platform/ipc/line-exchange.ts';
import { type LongPollOptions, longPoll, type TaggedValue } from '../../platform/ipc/long-poll-client.ts';
import { METRICS_SNAPSHOT, type MetricsSnapshot } from '../../platform/metrics.ts';
import { isErrno } from '../../platform/reason.ts';
import type { QueueLimits } from '../../platform/scheduling/fair-queue.ts';
import {
  BLOB_LOCATION,
  type BlobLocation,
  BYTES_TYPE,
  CACHE_GENERATION,
  CACHED_REPOSITORIES,
  type CachedRepositories,
  type CacheHit,
  CORE_HEADERS,
  FILL,
  LOCATION_TYPE,
  PART_RANGE,
  PART_TYPE,
  type PartialLocation,
  PULL_IDS,
  parseQuotaRefusal,
  type ReadAccess,
} from '../../protocol/core-api.ts';
import { isDigest, parseDigest } from '../../registry/digest.ts';
import { isErrorName } from '../../registry/error.ts';
import { unmirroredMessage } from '../../registry/media-type.ts';
import { parsePage } from '../../registry/page.ts';
import { CORE_PULL_PATH, type RepositoryRoute, resourceOf } from '../../registry/route.ts';
import { openStoredBlob } from '../delivery/blob-reader.ts';
import { ChunkCache } from '../delivery/chunk-cache.ts';
import { SharedFills } from '../delivery/shared-fill.ts';
import { CORE_REQUESTS, GATEWAY_LIMITS } from '../limits.ts';
import { sumOf } from './accounting.ts';
import {
  type AnswerContent,
  type CacheLifetime,
  type CoreAnswer,
  type CoreClient,
  type PullAccounting,
  PullFailed,
  type PullOptions,
} from './core-client.ts';

export interface LocalCoreClientOptions {
  readonly socket: string;
  /** The directory of the cache, as this process sees it. */
  readonly directory: string;
  /** The directory of the hosted repositories, as this process sees it. Absent if nothing is hosted. */
  readonly hosted?: string;
  /** The chunks that readers of the same blob share. */
  readonly chunks?: ChunkCache;
  /** The bounds on requests that the gateway sends for clients. */
  readonly questions?: QueueLimits;
}

/** The name of the other side in errors and in the log. */
const PEER = 'the core';

/** A core that reports the max age of its answers, and accounts for cache hits. */
export interface CacheableCoreClient extends CoreClient {
  /** The generation of the cache. While it is the same, answers stay valid for their max age. */
  generation(options: LongPollOptions): Promise<TaggedValue<string> | undefined>;
  /**
   * Reports cache hits. It resolves to the ids of the pulls that they belong to, in the same order. Each
   * report waits for the answer to the one before.
   */
  reportHits(hits: readonly CacheHit[]): Promise<readonly (string | null)[]>;
}

export function openLocalCoreClient(options: LocalCoreClientOptions): CacheableCoreClient {
  const { socket, chunks = new ChunkCache(), questions = GATEWAY_LIMITS.coreQuestions } = options;
  return new LocalCoreClient(openSocketClient(socket, questions), options, chunks);
}

class LocalCoreClient implements CacheableCoreClient {
  readonly #http: HttpClient;
  readonly #directory: string;
  readonly #hosted: string | undefined;
  readonly #fills: SharedFills;
  readonly #hits: LineExchange;

  constructor(
    http: HttpClient,
    { directory, hosted }: Pick<LocalCoreClientOptions, 'directory' | 'hosted'>,
    chunks: ChunkCache,
  ) {
    this.#http = http;
    this.#hits = new LineExchange(http, { path: '/hits', deadline: CORE_REQUESTS.report });
    this.#directory = directory;
    this.#hosted = hosted;
    this.#fills = new SharedFills(chunks);
  }

  async pull(route: RepositoryRoute, options: PullOptions): Promise<CoreAnswer> {
    let accounting: PullAccounting | undefined;
    for (let attempt = 1; ; attempt++) {
      try {
        const response = await this.#request(route, options);
        accounting = accountingIn(response, accounting);
        return await this.#read(route, options.method, response, accounting);
      } catch (error) {
        const isOutdated = isErrno(error, 'ENOENT');
        if ((isOutdated || isCutOff(error)) && attempt < CORE_REQUESTS.attempts) continue;
        throw accounting === undefined ? error : new PullFailed(accounting, error);
      }
    }
  }

  #request(
    route: RepositoryRoute,
    { method, private: reachesPrivate, caller, subjectKey, share, signal, range, spending }: PullOptions,
  ): Promise<HttpResponse> {
    const grant: ReadAccess = reachesPrivate ? 'private' : 'public';
    const { budgets, reserved } = spending?.() ?? {};
    return this.#http.request({
      // The length of a document is known only together with its bytes.
      method: route.kind === 'manifest' || route.kind === 'blob' ? method : 'GET',
      path: `${CORE_PULL_PATH}${resourceOf(route)}`,
      headers: {
        [CORE_HEADERS.upstream]: route.repository.upstream,
        [CORE_HEADERS.path]: route.repository.path,
        [CORE_HEADERS.grant]: grant,
        ...(caller !== undefined && { [CORE_HEADERS.caller]: caller }),
        ...(subjectKey !== undefined && { [CORE_HEADERS.subjectKey]: subjectKey() }),
        ...(range !== undefined && { [CORE_HEADERS.range]: range }),
        ...(budgets !== undefined && { [CORE_HEADERS.budgets]: budgets }),
        ...(reserved !== undefined && { [CORE_HEADERS.reserved]: reserved }),
      },
      share,
      restAfter: restAfterRefusal,
      signal: signal?.(),
      deadline: CORE_REQUESTS.deadline,
    });
  }

  async #read(
    route: RepositoryRoute,
    method: string,
    response: HttpResponse,
    accounting: PullAccounting,
  ): Promise<CoreAnswer> {
    if (response.statusCode !== 200) return { ...(await readRefusal(response)), accounting };
    const cache = String(response.headers[CORE_HEADERS.cache]);
    const reported = { accounting, ...parseLifetime(response) };
    if (route.kind === 'manifest') return { ...(await readManifest(response, method, cache)), ...reported };
    if (route.kind === 'blob')
      return { ...reported, ...(await this.#readBlob(response, method, cache, accounting)) };
    return { ...(await readDocument(route, response, cache)), accounting };
  }

  async #readBlob(
    response: HttpResponse,
    method: string,
    cache: string,
    accounting: PullAccounting,
  ): Promise<CoreAnswer> {
    const { headers, body } = response;
    if (method === 'HEAD') {
      await body.dump();
      const length = headers['content-length'];
      return { kind: 'blob-head', cache, size: length === undefined ? undefined : Number(length) };
    }
    if (headers['content-type'] === LOCATION_TYPE) {
      const location = BLOB_LOCATION.parse(await body.json());
      return { kind: 'blob', cache, source: await openStoredBlob(this.#fileOf(location), location.size) };
    }
    if (headers['content-type'] === PART_TYPE) return readPart(response, cache);
    if (headers['content-type'] === BYTES_TYPE) {
      const length = headers['content-length'];
      return { kind: 'blob-stream', cache, size: length === undefined ? undefined : Number(length), body };
    }
    const lines = readLines(body);
    try {
      const { id, location, size } = FILL.parse(await lines.next());
      const source = await this.#fills.open({
        id,
        file: this.#fileOf(location),
        size: size ?? undefined,
        announcements: lines,
        joined: cache === 'joined',
      });
      const trailingCost = () => source.trailingCost();
      return { kind: 'blob', cache, source, accounting: { ...accounting, trailingCost } };
    } catch (error) {
      lines.close();
      throw error;
    }
  }

  /** Returns the path of a file of the cache or of the hosted repositories, as this process sees it. */
  #fileOf({ kind, file }: BlobLocation | PartialLocation): string {
    if (kind === 'file') return path.join(this.#directory, file);
    if (this.#hosted === undefined) throw new Error('the core hosts repositories, and this gateway does not');
    return path.join(this.#hosted, file);
  }

  generation(options: LongPollOptions): Promise<TaggedValue<string> | undefined> {
    const read = (text: string) => CACHE_GENERATION.parse(JSON.parse(text));
    return longPoll(this.#http, { peer: PEER, path: '/generation', read }, options);
  }

  async reportHits(hits: readonly CacheHit[]): Promise<readonly (string | null)[]> {
    return PULL_IDS.parse(await this.#hits.ask(hits));
  }

  async repositories(client: Pick<PullOptions, 'share' | 'signal'>): Promise<CachedRepositories> {
    return this.#ask('/cache', CACHED_REPOSITORIES, { deadline: CORE_REQUESTS.deadline, ...client });
  }

  async status(): Promise<object> {
    return this.#ask('/status', z.looseObject({}));
  }

  async metrics(): Promise<MetricsSnapshot> {
    return this.#ask('/metrics', METRICS_SNAPSHOT);
  }

  async #ask<Schema extends z.ZodType>(
    path: string,
    schema: Schema,
    {
      deadline = CORE_REQUESTS.status,
      share,
      signal,
    }: Pick<PullOptions, 'share' | 'signal'> & { deadline?: number } = {},
  ): Promise<z.output<Schema>> {
    const request: HttpRequest = { method: 'GET', path, deadline, share, signal: signal?.() };
    return parseAnswer(PEER, await askPeer(this.#http, PEER, request), schema);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#hits[Symbol.dispose]();
    await this.#http[Symbol.asyncDispose]();
  }
}

function parseLifetime({ headers }: HttpResponse): { readonly lifetime?: CacheLifetime } {
  const [maxAgeMs, generation] = [headers[CORE_HEADERS.maxAgeMs], headers[CORE_HEADERS.generation]];
  return maxAgeMs === undefined
    ? {}
    : { lifetime: { maxAgeMs: Number(maxAgeMs), generation: String(generation) } };
}

/** Returns the accounting of an answer. `before` is that of an earlier attempt, which cost something too. */
function accountingIn({ headers }: HttpResponse, before: PullAccounting | undefined): PullAccounting {
  const { [CORE_HEADERS.pull]: pull, [CORE_HEADERS.account]: account } = headers;
  const now: PullAccounting = {
    pull: typeof pull === 'string' ? pull : undefined,
    cost: {
      upstreamRequests: Number(headers[CORE_HEADERS.upstreamRequests] ?? 0),
      countedPulls: Number(headers[CORE_HEADERS.countedPulls] ?? 0),
      ...(typeof account === 'string' && { account }),
    },
  };
  return before === undefined ? now : sumOf([before, now]);
}

function restAfterRefusal(statusCode: number): number {
  return statusCode >= 400 ? CORE_REQUESTS.afterRefusal : 0;
}

async function readRefusal({ statusCode, headers, body }: HttpResponse): Promise<AnswerContent> {
  await body.dump();
  const error = String(headers[CORE_HEADERS.error]);
  const retryAfter = headers['retry-after'];
  const mediaType = headers[CORE_HEADERS.mediaType];
  const quota = parseQuotaRefusal(String(headers[CORE_HEADERS.quotaRefusal] ?? ''));
  if (!isErrorName(error) || error === 'INTERNAL')
    throw new PeerFailed(`${PEER} failed: it answers ${statusCode} to a pull`);
  return {
    kind: 'refused',
    error,
    ...(retryAfter !== undefined && { retryAfter: Number(retryAfter) }),
    ...(headers.age !== undefined && { age: Number(headers.age) }),
    ...(typeof mediaType === 'string' && { message: unmirroredMessage(mediaType) }),
    ...(quota && { quota }),
  };
}

async function readPart({ headers, body }: HttpResponse, cache: string): Promise<CoreAnswer> {
  const [, first, last, size] = PART_RANGE.exec(String(headers['content-range'])) ?? [];
  const bytes = Buffer.from(await body.arrayBuffer());
  const [start, end] = [Number(first), Number(last) + 1];
  if (bytes.length !== end - start) throw new Error('the core answers with another part than it says');
  return { kind: 'blob-part', cache, start, end, size: Number(size), bytes };
}

async function readManifest(
  { headers, body }: HttpResponse,
  method: string,
  cache: string,
): Promise<AnswerContent> {
  const bytes = Buffer.from(await body.arrayBuffer());
  const digest = parseDigest(String(headers['docker-content-digest']));
  if (digest === undefined) throw new Error('the core names no digest');
  const { age, [CORE_HEADERS.held]: held } = headers;
  return {
    kind: 'manifest',
    cache,
    mediaType: String(headers['content-type']),
    digest,
    size: Number(headers['content-length']),
    ...(method === 'GET' && { bytes }),
    ...(age !== undefined && { age: Number(age) }),
    ...(typeof held === 'string' && { held }),
  };
}

async function readDocument(
  { kind }: RepositoryRoute,
  { headers, body }: HttpResponse,
  cache: string,
): Promise<AnswerContent> {
  const next = headers[CORE_HEADERS.next];
  const isEntry = kind === 'referrers' ? isDigest : undefined;
  const page = next === undefined ? undefined : parsePage(new URLSearchParams(String(next)), isEntry);
  const filters = headers['oci-filters-applied'];
  return {
    kind: 'document',
    cache,
    bytes: Buffer.from(await body.arrayBuffer()),
    ...(page && { next: page }),
    ...(typeof filters === 'string' && { filters }),
    ...(headers.age !== undefined && { age: Number(headers.age) }),
  };
}
