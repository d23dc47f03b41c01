import Router from '@koa/router';
import type { Context } from 'koa';
import type { z } from 'zod';
import {
  BACKUP_HOSTED,
  COLLECT,
  type CollectedContent,
  DELETE_HOSTED,
  type DELETED_HOSTED,
  FETCH_REMOVALS,
  type HostedRepositories,
  RESTORE_TAG,
} from '../../protocol/hosted-api.ts';
import { ERRORS } from '../../registry/error.ts';
import { parseReference, parseTag } from '../../registry/reference.ts';
import { backUpHosted } from '../hosted/backup.ts';
import type { ExplainedCandidate } from '../hosted/collect.ts';
import type { Hosted } from '../hosted/hosted.ts';
import type { HostedRefusal } from '../hosted/refusal.ts';
import type { Removed } from '../hosted/remove.ts';
import type { RetentionRemoval } from '../hosted/retention.ts';
import { verifyHosted } from '../hosted/verify.ts';
import { readOperation } from './read-operation.ts';

/** Whoever runs a command on the machine, for the history of tags. The audit log calls them the same. */
const OPERATOR = { subject: 'operator', credential: 'operator' };
/** The most decisions that one answer explains. */
const MOST_DECISIONS = 10_000;
/** The most repositories that one answer lists. */
const MOST_REPOSITORIES = 100_000;

/** Returns the routes for operators of hosted repositories. */
export function hostedOperationRoutes(hosted: Hosted): Router {
  const router = new Router({ sensitive: true, strict: true });
  router.get('/hosted-repositories', async (context) => {
    context.body = await listHosted(hosted);
  });
  router.get('/hosted-repositories/tags', (context) => answerTags(context, hosted));
  router.get('/hosted-repositories/history', (context) => answerHistory(context, hosted));
  router.post('/hosted-repositories/restore-tag', (context) => restore(context, hosted));
  router.post('/hosted-repositories/delete', (context) => remove(context, hosted));
  router.post('/hosted-repositories/collect', (context) => collect(context, hosted));
  router.post('/hosted-repositories/removals', async (context) => {
    const { written } = FETCH_REMOVALS.parse(await readOperation(context));
    context.body = await hosted.removals.next(written ?? undefined);
  });
  router.post('/hosted-repositories/verify', async (context) => {
    context.body = await verifyHosted(hosted.database, hosted.content);
  });
  router.post('/hosted-repositories/backup', async (context) => {
    const { directory, missing } = BACKUP_HOSTED.parse(await readOperation(context));
    context.body = await backUpHosted(hosted, directory, missing);
  });
  return router;
}

async function listHosted({ database, uploads, namespaces }: Hosted): Promise<HostedRepositories> {
  const failure = database.failure?.message ?? null;
  if (failure !== null) return { failure, uploads: 0, namespaces: [], repositories: [] };
  return database.read(function* (select) {
    const used: HostedRepositories['namespaces'] = [];
    for (const { name, quota = null } of namespaces)
      used.push({ name, bytes: (yield* select.used.get(name))?.bytes ?? 0, quota });
    const repositories = yield* select.repositories.all('', MOST_REPOSITORIES);
    return { failure, uploads: uploads.size, namespaces: used, repositories: [...repositories] };
  });
}

async function answerTags(context: Context, { tags }: Hosted): Promise<void> {
  const listed = await tags.list(String(context.query.repository ?? ''));
  if (listed === undefined) context.status = 404;
  else context.body = listed;
}

async function answerHistory(context: Context, { tags }: Hosted): Promise<void> {
  const { repository = '', tag = '' } = context.query;
  const parsed = parseTag(String(tag));
  const history = parsed && (await tags.history(String(repository), parsed));
  if (history === undefined) context.status = 404;
  else context.body = history;
}

async function restore(context: Context, { tags }: Hosted): Promise<void> {
  const { repository, tag } = RESTORE_TAG.parse(await readOperation(context));
  const parsed = parseTag(tag);
  if (parsed === undefined) context.status = 404;
  else context.body = await tags.restore(repository, parsed, OPERATOR);
}

async function remove(context: Context, { removal }: Hosted): Promise<void> {
  const { repository, reference, force } = DELETE_HOSTED.parse(await readOperation(context));
  const parsed = parseReference(reference);
  const removed = parsed && (await removal.manifest(repository, parsed, OPERATOR, force));
  context.body = describeDeletion(removed);
}

function describeDeletion(removed: Removed | HostedRefusal | undefined): z.input<typeof DELETED_HOSTED> {
  if (removed?.kind === 'removed') return { kind: 'removed', previous: removed.previous ?? null };
  if (removed === undefined || removed.error === 'MANIFEST_UNKNOWN') return { kind: 'unknown' };
  return { kind: 'refused', why: removed.message ?? ERRORS[removed.error].message };
}

async function collect(context: Context, { collection, retention, tags }: Hosted): Promise<void> {
  const { dryRun } = COLLECT.parse(await readOperation(context));
  const explained = await collection.explain(Number.MAX_SAFE_INTEGER, MOST_DECISIONS);
  const due = await retention.explain();
  if (!dryRun) {
    await retention.retain();
    await collection.collect();
    await tags.trim();
  }
  context.body = [...explained.map(describeDecision), ...due.slice(0, MOST_DECISIONS).map(describeRemoval)];
}

function describeDecision({ repository, digest, decision }: ExplainedCandidate): CollectedContent {
  const { action, why } = decision;
  return { repository, tag: null, digest, action, why, until: action === 'wait' ? decision.until : null };
}

function describeRemoval({ repository, tag, digest, why }: RetentionRemoval): CollectedContent {
  const action = tag === undefined ? 'remove-manifest' : 'remove-tag';
  return { repository, tag: tag ?? null, digest, action, why, until: null };
}
