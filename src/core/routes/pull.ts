import Router from '@koa/router';
import type { Context, Middleware } from 'koa';
import { workFor } from '../../platform/scheduling/waiters.ts';
import { CORE_HEADERS, parseReadAccess } from '../../protocol/core-api.ts';
import { isHosted, repositoryOf, type UpstreamNames } from '../../registry/repository.ts';
import { parseCorePull, type RepositoryRoute } from '../../registry/route.ts';
import { type ReadSpender, spenderReader } from '../budget/spender.ts';
import type { GatewayCaches } from '../gateway-caches.ts';
import type { Hosted } from '../hosted/hosted.ts';
import { MAX_QUESTIONS } from '../limits.ts';
import type { PulledManifest } from '../pull/deliver-manifest.ts';
import type { PullOutcome } from '../pull/outcome.ts';
import type { BlobPull } from '../pull/pull-blob.ts';
import type { DocumentPull } from '../pull/pull-document.ts';
import type { ManifestPull } from '../pull/pull-manifest.ts';
import type { ReferrersPull } from '../pull/pull-referrers.ts';
import type { RecentPulls } from '../pull/recent-pulls.ts';
import { Cost } from '../upstream/cost.ts';
import type { Requester } from '../upstream/requester.ts';
import { closingOf } from './closing.ts';
import type { Operations } from './operations.ts';
import {
  answerOutcome,
  answerRefusal,
  sendBlob,
  sendBlobHead,
  sendDocument,
  sendManifest,
} from './pull-answer.ts';

export interface PullRouteDependencies {
  readonly names: UpstreamNames;
  readonly manifests: ManifestPull;
  readonly blobs: BlobPull;
  readonly documents: DocumentPull;
  readonly referrers: ReferrersPull;
  readonly recent: RecentPulls;
  readonly gatewayCaches: GatewayCaches;
  readonly operations: Pick<Operations, 'answered'>;
  /** The hosted repositories; absent if nothing is hosted. */
  readonly hosted?: Pick<Hosted, 'pull'>;
}

/** Returns the route of the distribution API, with the read access in each request. */
export function pullRoutes(dependencies: PullRouteDependencies): Router {
  const router = new Router();
  const readSpender = spenderReader();
  router.all(/^\/pull\//, boundQuestions(), (context) =>
    answerPullRequest(context, dependencies, readSpender),
  );
  return router;
}

/** Bounds the pulls that the core works on at a time. */
function boundQuestions(): Middleware {
  let questions = 0;
  return async (context, next) => {
    // The gateway has given up its request.
    if (context.req.socket.destroyed) return;
    if (questions >= MAX_QUESTIONS)
      return answerRefusal(context, { kind: 'refused', error: 'UNAVAILABLE', retryAfter: 1 });
    questions++;
    try {
      await next();
    } finally {
      questions--;
    }
  };
}

async function answerPullRequest(
  context: Context,
  dependencies: PullRouteDependencies,
  readSpender: ReadSpender,
): Promise<void> {
  const { method } = context;
  const grant = parseReadAccess(context.get(CORE_HEADERS.grant));
  const repository = repositoryOf(
    context.get(CORE_HEADERS.upstream),
    context.get(CORE_HEADERS.path),
    dependencies.names,
  );
  const spender = readSpender((name) => context.get(name));
  const parsed = parseCorePull(context.req.url ?? '', repository);
  if ('refusal' in parsed) {
    answerRefusal(context, { kind: 'refused', error: parsed.refusal });
  } else if (grant === undefined || spender === undefined || (method !== 'GET' && method !== 'HEAD')) {
    answerRefusal(context, { kind: 'refused', error: 'BAD_REQUEST' });
  } else {
    const cost = new Cost();
    // The generation is read before anything is looked up, so an invalidation in the meantime makes it
    // another one.
    context.set(CORE_HEADERS.generation, dependencies.gatewayCaches.generation.current);
    const asked: Asked = {
      route: parsed.route,
      method,
      requester: { grant, cost, spender },
      caller: context.get(CORE_HEADERS.caller),
      closing: closingOf(context),
    };
    try {
      await workFor(asked.closing, () => answerPull(context, dependencies, asked));
    } finally {
      // This is done after a failure too.
      if (!context.res.headersSent) setCost(context, cost);
    }
  }
}

interface Asked {
  readonly route: RepositoryRoute;
  readonly method: 'GET' | 'HEAD';
  readonly requester: Requester;
  /** Empty if the gateway does not name a caller. */
  readonly caller: string;
  /** Aborted when the gateway no longer waits for the answer. */
  readonly closing: AbortSignal;
}

async function answerPull(
  context: Context,
  dependencies: PullRouteDependencies,
  asked: Asked,
): Promise<void> {
  const { manifests, blobs, documents, referrers, operations } = dependencies;
  const { route, method, requester, caller, closing } = asked;
  const { repository } = route;
  if (isHosted(repository)) return answerHostedPull(context, dependencies, asked);
  switch (route.kind) {
    case 'manifest': {
      const outcome = await manifests.pull(repository, route.reference, method, requester);
      setPullId(context, pullIdOf(dependencies, asked, route, outcome));
      answerOutcome(context, operations, outcome, sendManifest);
      break;
    }
    case 'blob':
      if (caller !== '') setPullId(context, dependencies.recent.ofBlob(caller, repository, route.digest));
      if (method === 'HEAD')
        answerOutcome(
          context,
          operations,
          await blobs.head(repository, route.digest, requester),
          sendBlobHead,
        );
      else
        answerOutcome(
          context,
          operations,
          await blobs.get(repository, route.digest, requester, {
            signal: closing,
            range: context.get(CORE_HEADERS.range) || undefined,
          }),
          (_, pulled) => sendBlob(context, pulled, requester.cost),
        );
      break;
    case 'tags':
      answerOutcome(
        context,
        operations,
        await documents.tags(repository, route.page, requester),
        sendDocument,
      );
      break;
    case 'referrers':
      answerOutcome(
        context,
        operations,
        await referrers.pull(repository, route.digest, requester),
        sendDocument,
      );
  }
}

/** Answers from the hosted repositories. Nothing here leads to an upstream. */
async function answerHostedPull(
  context: Context,
  dependencies: PullRouteDependencies,
  asked: Asked,
): Promise<void> {
  const { hosted, operations, recent } = dependencies;
  const { route, method, requester, caller, closing } = asked;
  const { path } = route.repository;
  if (hosted === undefined) return answerRefusal(context, { kind: 'refused', error: 'NAME_UNKNOWN' });
  switch (route.kind) {
    case 'manifest': {
      const outcome = await hosted.pull.manifest(path, route.reference, method);
      setPullId(context, pullIdOf(dependencies, asked, route, outcome));
      return answerOutcome(context, operations, outcome, sendManifest);
    }
    case 'blob':
      if (caller !== '') setPullId(context, recent.ofBlob(caller, route.repository, route.digest));
      if (method === 'HEAD')
        return answerOutcome(context, operations, await hosted.pull.head(path, route.digest), sendBlobHead);
      return answerOutcome(
        context,
        operations,
        await hosted.pull.blob({ ...route, requester, signal: closing }),
        (_, pulled) => sendBlob(context, pulled, requester.cost),
      );
    case 'tags':
      return answerOutcome(context, operations, await hosted.pull.tags(path, route.page), sendDocument);
    case 'referrers':
      return answerOutcome(
        context,
        operations,
        await hosted.pull.referrers(path, route.digest, route.artifactType, route.last),
        sendDocument,
      );
  }
}

/** A tag that did not resolve belongs to no pull. */
function pullIdOf(
  { recent }: PullRouteDependencies,
  { method, caller }: Asked,
  { repository, reference }: RepositoryRoute & { kind: 'manifest' },
  outcome: PullOutcome<PulledManifest>,
): string | undefined {
  const found = outcome.kind === 'found' ? outcome : undefined;
  const digest = found?.digest ?? (reference.kind === 'digest' ? reference.digest : undefined);
  if (caller === '' || digest === undefined) return undefined;
  return recent.ofManifest(caller, repository, { reference, method, digest, bytes: found?.bytes });
}

function setPullId(context: Context, pull: string | undefined): void {
  if (pull !== undefined) context.set(CORE_HEADERS.pull, pull);
}

function setCost(context: Context, cost: Cost): void {
  const { upstreamRequests, countedPulls, account } = cost.take();
  if (upstreamRequests > 0) context.set(CORE_HEADERS.upstreamRequests, String(upstreamRequests));
  if (countedPulls > 0) context.set(CORE_HEADERS.countedPulls, String(countedPulls));
  if (account !== undefined) context.set(CORE_HEADERS.account, account);
}
