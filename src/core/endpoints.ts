import { addAbortSignal, Readable } from 'node:stream';
import Koa, { type Context } from 'koa';
import { readLines, writeLine } from '../platform/ipc/json-lines.ts';
import { createLongPollEndpoint, type LongPollEndpoint } from '../platform/ipc/long-poll-endpoint.ts';
import type { Logger } from '../platform/log.ts';
import type { Meters } from '../platform/metrics.ts';
import { readBody } from '../platform/read-body.ts';
import { NobodyWaits, workFor } from '../platform/scheduling/waiters.ts';
import {
  BYTES_TYPE,
  CACHE_HITS,
  type CachedRepositories,
  type CacheState,
  CORE_HEADERS,
  type CoreStatus,
  FILL_TYPE,
  type FillProgressLine,
  type FillStart,
  LOCATION_TYPE,
  PART_TYPE,
  PURGE,
  type Purged,
  parseReadAccess,
  type ReadAccess,
  UPSTREAM_STEPS_QUESTION,
  type UpstreamChecks,
  type UpstreamCost,
  type UpstreamStep,
} from '../protocol/core-api.ts';
import { ERRORS, errorBody } from '../registry/error.ts';
import { formatPage } from '../registry/page.ts';
import { repositoryOf, type UpstreamNames } from '../registry/repository.ts';
import { CORE_PULL_PATH, parseCorePull, type RepositoryRoute } from '../registry/route.ts';
import type { GatewayCaches } from './gateway-caches.ts';
import { MAX_QUESTIONS } from './limits.ts';
import type { Fill } from './pull/fill.ts';
import type { PullOutcome, PullRefusal } from './pull/outcome.ts';
import type { BlobPull, PulledBlob } from './pull/pull-blob.ts';
import type { DocumentPull, PulledDocument } from './pull/pull-document.ts';
import type { ManifestPull, PulledManifest } from './pull/pull-manifest.ts';
import type { ReferrersPull } from './pull/pull-referrers.ts';
import type { RecentPulls } from './pull/recent-pulls.ts';
import { atTheCostOf, Cost } from './upstream/cost.ts';
import type { BlobHead } from './upstream/registry-client.ts';

/** The services of the core on its socket: the distribution API, with the read access in each request. */
export interface CoreDependencies {
  readonly names: UpstreamNames;
  readonly manifests: ManifestPull;
  readonly blobs: BlobPull;
  readonly documents: DocumentPull;
  readonly referrers: ReferrersPull;
  readonly recent: RecentPulls;
  readonly gatewayCaches: GatewayCaches;
  readonly operations: Operations;
  readonly metrics: Pick<Meters, 'snapshot'>;
  readonly log: Logger;
  /** Ends the long polls for the cache generation. */
  readonly stopping: AbortSignal;
}

/** The operations for operators, beside the pulls of gateways. */
export interface Operations {
  /** Counts an answer. `age` is the age of a stale answer in seconds. */
  answered(cache: CacheState, age?: number): void;
  status(): Promise<CoreStatus>;
  repositories(): Promise<CachedRepositories>;
  /** Resolves to undefined if a name is invalid. */
  purge(repository: string, reference: string | null): Promise<Purged | undefined>;
  check(): Promise<UpstreamChecks>;
  /** Goes the way to one upstream. Resolves to undefined if there is no such upstream or no such image. */
  steps(host: string, image: string | null): Promise<readonly UpstreamStep[] | undefined>;
}

const MAX_BODY = 4 * 1024;

export function coreApplication(dependencies: CoreDependencies): Koa {
  const app = new Koa();
  const state = createLongPollEndpoint(
    dependencies.gatewayCaches.generation,
    JSON.stringify,
    dependencies.stopping,
  );
  // Koa's own handler would print to stderr. An error that reaches it is a fault of ours.
  app.silent = true;
  let questions = 0;
  app.use(async (context, next) => {
    if (!context.path.startsWith(CORE_PULL_PATH)) return next();
    // The gateway has given up its request.
    if (context.req.socket.destroyed) return;
    if (questions >= MAX_QUESTIONS)
      return refuse(context, { kind: 'refused', error: 'UNAVAILABLE', retryAfter: 1 });
    questions++;
    try {
      await next();
    } finally {
      questions--;
    }
  });
  app.use(async (context) => {
    try {
      await answer(context, dependencies, state);
    } catch (error) {
      if (error instanceof NobodyWaits) return void context.res.destroy();
      dependencies.log.error({ err: error }, 'the core failed');
      if (context.res.headersSent) context.res.destroy();
      else refuse(context, { kind: 'refused', error: 'INTERNAL' });
    }
  });
  return app;
}

async function answer(
  context: Context,
  dependencies: CoreDependencies,
  state: LongPollEndpoint,
): Promise<void> {
  if (context.path === '/generation') return state.answer(context);
  if (context.path === '/hits') return recordHits(context, dependencies);
  if (!context.path.startsWith(CORE_PULL_PATH)) return answerOperator(context, dependencies);
  const { method } = context;
  const grant = parseReadAccess(context.get(CORE_HEADERS.grant));
  const repository = repositoryOf(
    context.get(CORE_HEADERS.upstream),
    context.get(CORE_HEADERS.path),
    dependencies.names,
  );
  const parsed = parseCorePull(context.req.url ?? '', repository);
  if ('refusal' in parsed) {
    refuse(context, { kind: 'refused', error: parsed.refusal });
  } else if (grant === undefined || (method !== 'GET' && method !== 'HEAD')) {
    refuse(context, { kind: 'refused', error: 'BAD_REQUEST' });
  } else {
    const cost = new Cost();
    // The generation is read before anything is looked up, so an invalidation in the meantime makes it
    // another one.
    context.set(CORE_HEADERS.generation, dependencies.gatewayCaches.generation.current);
    const asked: Asked = {
      route: parsed.route,
      method,
      grant,
      cost,
      caller: context.get(CORE_HEADERS.caller),
      closing: closingOf(context),
    };
    try {
      await workFor(asked.closing, () => atTheCostOf(cost, () => pull(context, dependencies, asked)));
    } finally {
      // This is done after a failure too.
      if (!context.res.headersSent) sayCost(context, cost);
    }
  }
}

interface Asked {
  readonly route: RepositoryRoute;
  readonly method: 'GET' | 'HEAD';
  readonly grant: ReadAccess;
  readonly cost: Cost;
  /** Empty if the gateway does not name a caller. */
  readonly caller: string;
  /** Aborted when the gateway no longer waits for the answer. */
  readonly closing: AbortSignal;
}

async function pull(context: Context, dependencies: CoreDependencies, asked: Asked): Promise<void> {
  const { manifests, blobs, documents, referrers, operations } = dependencies;
  const { route, method, grant, cost, caller, closing } = asked;
  const { repository } = route;
  switch (route.kind) {
    case 'manifest': {
      const outcome = await manifests.pull(repository, route.reference, method, grant);
      sayPull(context, pullOf(dependencies, asked, route, outcome));
      send(context, operations, outcome, sendManifest);
      break;
    }
    case 'blob':
      if (caller !== '') sayPull(context, dependencies.recent.ofBlob(caller, repository, route.digest));
      if (method === 'HEAD')
        send(context, operations, await blobs.head(repository, route.digest, grant), sendBlobHead);
      else
        send(
          context,
          operations,
          await blobs.get(repository, route.digest, grant, {
            subjectKey: context.get(CORE_HEADERS.subjectKey),
            signal: closing,
            range: context.get(CORE_HEADERS.range) || undefined,
          }),
          (_, pulled) => sendBlob(context, pulled, cost),
        );
      break;
    case 'tags':
      send(context, operations, await documents.tags(repository, route.page, grant), sendDocument);
      break;
    case 'referrers':
      send(context, operations, await referrers.pull(repository, route.digest, grant), sendDocument);
  }
}

function closingOf({ res }: Context): AbortSignal {
  const closing = new AbortController();
  if (res.closed) closing.abort();
  else res.once('close', () => closing.abort());
  return closing.signal;
}

/** A tag that did not resolve belongs to no pull. */
function pullOf(
  { recent }: CoreDependencies,
  { method, caller }: Asked,
  { repository, reference }: RepositoryRoute & { kind: 'manifest' },
  outcome: PullOutcome<PulledManifest>,
): string | undefined {
  const found = outcome.kind === 'found' ? outcome : undefined;
  const digest = found?.digest ?? (reference.kind === 'digest' ? reference.digest : undefined);
  if (caller === '' || digest === undefined) return undefined;
  return recent.ofManifest(caller, repository, { reference, method, digest, bytes: found?.bytes });
}

function sayPull(context: Context, pull: string | undefined): void {
  if (pull !== undefined) context.set(CORE_HEADERS.pull, pull);
}

function sayCost(context: Context, cost: Cost): void {
  const { upstreamRequests, countedPulls } = cost.take();
  if (upstreamRequests > 0) context.set(CORE_HEADERS.upstreamRequests, String(upstreamRequests));
  if (countedPulls > 0) context.set(CORE_HEADERS.countedPulls, String(countedPulls));
}

/**
 * Answers one request of a gateway that lasts as long as both run. Each line of the request reports cache
 * hits, and each line of the response names the pulls that they belong to.
 */
async function recordHits(
  context: Context,
  { gatewayCaches, operations, stopping }: CoreDependencies,
): Promise<void> {
  const { req, res } = context;
  addAbortSignal(stopping, req);
  context.respond = false;
  res.writeHead(200);
  const lines = readLines(req);
  for (;;) {
    const line = await lines.next().catch((error: Error) => {
      // The gateway or this core has ended.
      if (req.destroyed) return undefined;
      throw error;
    });
    if (line === undefined) break;
    const pulls = CACHE_HITS.parse(line).map((one) => {
      operations.answered('hit');
      return gatewayCaches.recordHit(one) ?? null;
    });
    res.write(writeLine(pulls));
  }
  res.end();
}

async function answerOperator(context: Context, { operations, metrics }: CoreDependencies): Promise<void> {
  switch (`${context.method} ${context.path}`) {
    case 'GET /status':
      context.body = await operations.status();
      return;
    case 'GET /metrics':
      context.body = await metrics.snapshot();
      return;
    case 'GET /cache':
      context.body = await operations.repositories();
      return;
    case 'POST /cache/purge': {
      const body = await readBody(context.req, MAX_BODY);
      const { repository, reference } = PURGE.parse(JSON.parse(body?.toString('utf8') ?? ''));
      const purged = await operations.purge(repository, reference);
      if (purged === undefined) context.status = 404;
      else context.body = purged;
      return;
    }
    case 'POST /upstreams/steps': {
      const body = await readBody(context.req, MAX_BODY);
      const { host, image } = UPSTREAM_STEPS_QUESTION.parse(JSON.parse(body?.toString('utf8') ?? ''));
      const steps = await operations.steps(host, image);
      if (steps === undefined) context.status = 404;
      else context.body = steps;
      return;
    }
    case 'POST /upstreams/check':
      context.body = await operations.check();
      return;
    default:
      context.status = 404;
  }
}

function send<T extends object>(
  context: Context,
  operations: Operations,
  outcome: PullOutcome<T>,
  sendFound: (context: Context, found: T) => void,
): void {
  if (outcome.kind === 'refused') {
    if (outcome.age !== undefined) operations.answered('stale', outcome.age);
    refuse(context, outcome);
    return;
  }
  operations.answered(outcome.cache, 'age' in outcome ? Number(outcome.age) : undefined);
  context.status = 200;
  context.set(CORE_HEADERS.cache, outcome.cache);
  if (outcome.maxAgeMs !== undefined && outcome.maxAgeMs > 0)
    context.set(CORE_HEADERS.maxAgeMs, String(Math.floor(outcome.maxAgeMs)));
  sendFound(context, outcome);
}

function sendManifest(context: Context, { digest, mediaType, size, bytes, age }: PulledManifest): void {
  if (bytes !== undefined) context.body = bytes;
  context.set({ 'content-type': mediaType, 'content-length': String(size), 'docker-content-digest': digest });
  if (age !== undefined) context.set('age', String(age));
}

function sendBlobHead(context: Context, { size }: BlobHead): void {
  if (size !== undefined) context.set('content-length', String(size));
}

function sendBlob(context: Context, pulled: PulledBlob, cost: Cost): void {
  switch (pulled.blob) {
    case 'stored':
      context.body = JSON.stringify(pulled.location);
      context.set('content-type', LOCATION_TYPE);
      return;
    case 'filling':
      // The generator of lines does not do this, because while it waits for progress it learns too late that
      // its reader has gone.
      if (!context.res.closed) context.res.once('close', pulled.fill.enter());
      context.body = Readable.from(progressLines(pulled.fill, cost));
      context.set('content-type', FILL_TYPE);
      return;
    case 'part': {
      const { start, end, size, bytes } = pulled;
      context.body = bytes;
      context.set({ 'content-type': PART_TYPE, 'content-range': `bytes ${start}-${end - 1}/${size}` });
      return;
    }
    case 'bytes':
      context.body = pulled.body;
      context.set('content-type', BYTES_TYPE);
      if (pulled.size !== undefined) context.set('content-length', String(pulled.size));
  }
}

/**
 * Yields a line with the place of the bytes, and then a line whenever the fill has come further, to its end. A
 * reader may leave at any time.
 */
async function* progressLines(fill: Fill, cost: Cost): AsyncGenerator<string> {
  const { id, location, size = null } = fill;
  yield writeLine({ id, location, size } satisfies FillStart);
  for await (const progress of fill.progress())
    yield writeLine(progress.kind === 'filling' ? progress : withCost(progress, cost.take()));
}

function withCost(
  last: Exclude<FillProgressLine, { kind: 'filling' }>,
  cost: UpstreamCost,
): FillProgressLine {
  return cost.upstreamRequests === 0 ? last : { ...last, cost };
}

function sendDocument(context: Context, { bytes, next, age }: PulledDocument): void {
  context.body = Buffer.from(bytes);
  if (age !== undefined) context.set('age', String(age));
  context.set('content-type', 'application/json');
  if (next !== undefined) context.set(CORE_HEADERS.next, formatPage(next));
}

function refuse(context: Context, { error, retryAfter, age, mediaType }: PullRefusal): void {
  context.status = ERRORS[error].status;
  context.body = errorBody(error);
  context.set({ 'content-type': 'application/json', [CORE_HEADERS.error]: error });
  if (retryAfter !== undefined) context.set('retry-after', String(retryAfter));
  if (mediaType !== undefined) context.set(CORE_HEADERS.mediaType, mediaType);
  if (age !== undefined) context.set('age', String(age));
}
