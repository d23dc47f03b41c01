import type { Readable } from 'node:stream';
import Router from '@koa/router';
import type { Context } from 'koa';
import { DatabaseUnavailable } from '../../platform/database-unavailable.ts';
import { readBody } from '../../platform/read-body.ts';
import { DeadlineError } from '../../platform/scheduling/deadline.ts';
import { QueueFullError } from '../../platform/scheduling/fair-queue.ts';
import { CORE_HEADERS, parseReadAccess, type ReadAccess } from '../../protocol/core-api.ts';
import { HOSTED_ANSWER_HEADERS, HOSTED_PATH, HOSTED_REQUEST_HEADERS } from '../../protocol/hosted-api.ts';
import { algorithmOf, type Digest, parseDigest } from '../../registry/digest.ts';
import { ERRORS, errorBody } from '../../registry/error.ts';
import { parseReference, parseTag, type Reference } from '../../registry/reference.ts';
import { HOSTED, type Repository, repositoryOf, type UpstreamNames } from '../../registry/repository.ts';
import { parseUploadId, type UploadId } from '../../registry/upload-id.ts';
import type { Hosted } from '../hosted/hosted.ts';
import type { HostedUnavailable } from '../hosted/hosted-database.ts';
import { MANIFEST_WAIT } from '../hosted/limits.ts';
import type { PublishedBlob } from '../hosted/push-blob.ts';
import type { Author } from '../hosted/push-manifest.ts';
import { type HostedRefusal, refuseWrite } from '../hosted/refusal.ts';
import type { SendToOwner } from '../hosted/send-to-owner.ts';
import type { ReceivedBody, Upload } from '../hosted/upload.ts';
import type { Uploader } from '../hosted/uploads.ts';
import { CLIENT_RETRY_AFTER, MAX_DOCUMENT_SIZE } from '../limits.ts';
import { closingOf } from './closing.ts';
import { forwardUpload } from './forward-upload.ts';

/** Opens a blob of a mirrored repository, if the cache has it and the read access reaches it. */
export type OpenCachedBlob = (
  from: Repository,
  digest: Digest,
  access: ReadAccess,
) => Promise<Readable | undefined>;

export interface HostedRouteDependencies {
  readonly hosted: Hosted;
  readonly openCachedBlob: OpenCachedBlob;
  readonly names: UpstreamNames;
  /** Reaches the uploads of the other nodes; absent if there are none. */
  readonly sendToOwner?: SendToOwner | undefined;
}

/** Returns the routes of the writes to hosted repositories, which `protocol/hosted-api.ts` describes. */
export function hostedRoutes(dependencies: HostedRouteDependencies): Router {
  const router = new Router();
  router.all(/^\/hosted\//, (context) => answerWrite(context, dependencies));
  return router;
}

/**
 * Returns the routes of the uploads that this node has begun, for the other nodes of the cluster. Nothing
 * else can be written through them, and they lead to no further node.
 */
export function ownUploadRoutes({
  hosted,
  names,
}: Pick<HostedRouteDependencies, 'hosted' | 'names'>): Router {
  const router = new Router();
  const openCachedBlob: OpenCachedBlob = async () => undefined;
  router.all(/^\/hosted\/blobs\/uploads\/[0-9a-f]+$/, (context) =>
    answerWrite(context, { hosted, names, openCachedBlob }),
  );
  return router;
}

/** One write: its context, its caller, and the query of its target. */
interface WriteRequest extends HostedRouteDependencies {
  readonly context: Context;
  readonly by: Uploader;
  readonly query: URLSearchParams;
}

async function answerWrite(context: Context, dependencies: HostedRouteDependencies): Promise<void> {
  const { names } = dependencies;
  const path = context.get(CORE_HEADERS.path);
  if (repositoryOf(HOSTED, path, names) === undefined || context.get(CORE_HEADERS.upstream) !== HOSTED)
    return answerHostedRefusal(context, refuseWrite('NAME_UNKNOWN'));
  const [resource = '', query = ''] = (context.req.url ?? '').slice(HOSTED_PATH.length).split('?', 2);
  const by = { repository: path, subjectKey: context.get(HOSTED_REQUEST_HEADERS.subjectKey) };
  const write = { ...dependencies, context, by, query: new URLSearchParams(query) };
  if (isPush(context, resource))
    context.set(HOSTED_ANSWER_HEADERS.push, write.hosted.pushes.of(callerOf(write), path));
  try {
    const refusal = await routeWrite(write, resource);
    if (refusal !== undefined) answerHostedRefusal(context, refusal);
  } catch (error) {
    // The gateway has ended the request, because its client has gone or may not push any more.
    if (context.req.destroyed && !context.req.complete) return void context.res.destroy();
    throw error;
  }
}

/** The end of an upload belongs to its push, whether it is published or cancelled. */
function isPush({ method }: Context, resource: string): boolean {
  return method !== 'DELETE' || resource.startsWith('blobs/uploads/');
}

/** Returns the key of the caller: a subject at an address with one client. A push belongs to one caller. */
function callerOf({ context, by }: WriteRequest): string {
  return context.get(CORE_HEADERS.caller) || by.subjectKey;
}

/**
 * Answers a request that failed with `HostedUnavailable`. Nothing else of the core is concerned. A database
 * of a cluster comes back by itself; a damaged file has to be restored first.
 */
export function answerUnavailable(context: Context, { cause }: HostedUnavailable): void {
  if (cause instanceof DatabaseUnavailable) return answerDatabaseAway(context);
  const words = 'the hosted repositories cannot be used now; the log of this registry says why';
  answerHostedRefusal(context, refuseWrite('UNAVAILABLE', words));
}

/** Clients such as docker ask again, and people know what to wait for. */
export function answerDatabaseAway(context: Context): void {
  const words = 'the database of the cluster does not answer now; try again later';
  answerHostedRefusal(context, {
    ...refuseWrite('UNAVAILABLE', words),
    retryAfter: CLIENT_RETRY_AFTER.storeAway,
  });
}

async function routeWrite(write: WriteRequest, resource: string): Promise<HostedRefusal | undefined> {
  const { method } = write.context;
  const [kind = '', last = '', id] = resource.split('/');
  if (kind === 'blobs' && last === 'uploads') {
    if (id === undefined || id === '')
      return method === 'POST' ? beginUpload(write) : refuseWrite('UNSUPPORTED');
    return continueUpload(write, id);
  }
  if (kind === 'blobs') return method === 'DELETE' ? removeBlob(write, last) : refuseWrite('UNSUPPORTED');
  const reference = kind === 'manifests' ? parseReference(last) : undefined;
  if (reference === undefined) return refuseWrite('BAD_REQUEST');
  if (method === 'PUT') return putManifest(write, reference);
  return method === 'DELETE' ? deleteManifest(write, reference) : refuseWrite('UNSUPPORTED');
}

async function beginUpload(write: WriteRequest): Promise<HostedRefusal | undefined> {
  const { hosted, context, by, query } = write;
  const mounted = await mount(write);
  if (mounted?.kind === 'refused') return mounted;
  if (mounted !== undefined) return answerPublished(context, mounted);
  const written = query.get('digest');
  const digest = written === null ? undefined : parseDigest(written);
  if (written !== null && digest === undefined) return refuseWrite('DIGEST_INVALID');
  const named = digest ?? parseDigest(query.get('mount') ?? '');
  const isLong = query.get('digest-algorithm') === 'sha512' || named?.startsWith('sha512:');
  const signal = closingOf(context);
  const upload = await hosted.uploads.begin(by, isLong ? 'sha512' : 'sha256', signal);
  if ('error' in upload) return upload;
  if (digest === undefined) return answerUpload(context, upload, 202);
  try {
    return await completeUpload(write, upload, digest, signal);
  } finally {
    // Nobody knows the id of this upload, so nobody could continue it.
    if (!upload.isOver) await hosted.uploads.end(upload);
  }
}

/** Resolves to undefined if the client has to upload the blob. */
async function mount({
  hosted,
  openCachedBlob,
  names,
  context,
  by,
  query,
}: WriteRequest): Promise<PublishedBlob | HostedRefusal | undefined> {
  const digest = parseDigest(query.get('mount') ?? '');
  const [upstream = '', path = '', access = ''] = context.get(HOSTED_REQUEST_HEADERS.mountFrom).split(' ');
  const from = repositoryOf(upstream, path, names);
  if (digest === undefined || from === undefined) return undefined;
  if (from.upstream === HOSTED) return hosted.blobs.mount(by.repository, from.path, digest);
  const readAccess = parseReadAccess(access);
  const body = readAccess && (await openCachedBlob(from, digest, readAccess));
  return body && copyBlob(hosted, by, digest, body, closingOf(context));
}

/** Copies a blob of the cache. It has its own file, because the cache may evict or repair its own. */
async function copyBlob(
  { uploads, blobs }: Hosted,
  by: Uploader,
  digest: Digest,
  body: Readable,
  signal: AbortSignal,
): Promise<PublishedBlob | HostedRefusal> {
  const upload = await uploads.begin(by, algorithmOf(digest), signal);
  if ('error' in upload) return upload;
  try {
    return await blobs.complete(upload, digest, { body, range: undefined, length: undefined }, signal);
  } finally {
    body.destroy();
    if (!upload.isOver) await uploads.end(upload);
  }
}

async function continueUpload(write: WriteRequest, id: string): Promise<HostedRefusal | undefined> {
  const { hosted, context, by, query } = write;
  const parsed = parseUploadId(id);
  const upload = parsed && hosted.uploads.find(parsed, by);
  if (upload === undefined) return continueElsewhere(write, parsed);
  if (context.method === 'GET') return answerUpload(context, upload, 204);
  const signal = closingOf(context);
  return upload.inTurn(async () => {
    if (upload.isOver) return whyOver(write, parsed);
    switch (context.method) {
      case 'PATCH':
        return appendToUpload(write, upload);
      case 'PUT': {
        const digest = parseDigest(query.get('digest') ?? '');
        return digest === undefined
          ? refuseWrite('DIGEST_INVALID')
          : completeUpload(write, upload, digest, signal);
      }
      case 'DELETE':
        await hosted.uploads.end(upload);
        answerEmpty(context, 204);
        return undefined;
      default:
        return refuseWrite('UNSUPPORTED');
    }
  });
}

/** Continues an upload that another node has begun. */
async function continueElsewhere(
  write: WriteRequest,
  id: UploadId | undefined,
): Promise<HostedRefusal | undefined> {
  const { context, sendToOwner } = write;
  const why = whyOver(write, id);
  if (id === undefined || sendToOwner === undefined || why.error !== 'BLOB_UPLOAD_UNKNOWN') return why;
  const isForwarded = await forwardUpload(context, (request) => sendToOwner(id, request));
  return isForwarded ? undefined : why;
}

function whyOver({ hosted, by }: WriteRequest, id: UploadId | undefined): HostedRefusal {
  return (id && hosted.uploads.whyRefused(id, by)) ?? refuseWrite('BLOB_UPLOAD_UNKNOWN');
}

async function appendToUpload(write: WriteRequest, upload: Upload): Promise<HostedRefusal | undefined> {
  const { context } = write;
  const received = receivedBody(context);
  const refusal = received.kind === 'refused' ? received : await upload.append(received);
  if (refusal !== undefined) return answerUploadRefusal(write, upload, refusal);
  return answerUpload(context, upload, 202);
}

async function completeUpload(
  write: WriteRequest,
  upload: Upload,
  digest: Digest,
  signal: AbortSignal,
): Promise<HostedRefusal | undefined> {
  const { hosted, context } = write;
  const received = receivedBody(context);
  const done =
    received.kind === 'refused' ? received : await hosted.blobs.complete(upload, digest, received, signal);
  if (done.kind === 'refused') return answerUploadRefusal(write, upload, done);
  return answerPublished(context, done);
}

const CONTENT_RANGE = /^(\d{1,15})-(\d{1,15})$/;

function receivedBody({ req }: Context): (ReceivedBody & { readonly kind: 'body' }) | HostedRefusal {
  const written = req.headers['content-range'];
  const [, first, last] = CONTENT_RANGE.exec(written ?? '') ?? [];
  if (written !== undefined && first === undefined) return refuseWrite('BAD_REQUEST');
  const length = req.headers['content-length'];
  return {
    kind: 'body',
    body: req,
    range: first === undefined ? undefined : { first: Number(first), last: Number(last) },
    length: length === undefined ? undefined : Number(length),
  };
}

/** A manifest is in memory until it is published, so only some are received at a time. */
async function putManifest(write: WriteRequest, reference: Reference): Promise<HostedRefusal | undefined> {
  const { hosted, context, by, query } = write;
  const waiting = { deadline: MANIFEST_WAIT, signal: closingOf(context) };
  try {
    return await hosted.places.run(by.subjectKey, waiting, () => receiveManifest(write, reference));
  } catch (error) {
    if (!(error instanceof QueueFullError || error instanceof DeadlineError)) throw error;
    return { ...refuseWrite('TOO_MANY_REQUESTS'), retryAfter: CLIENT_RETRY_AFTER.tooManyPushes };
  } finally {
    // A client that sets a tag has nothing more to push, and one whose tag is refused gives up.
    if (reference.kind === 'tag' || query.has('tag')) hosted.pushes.end(callerOf(write), by.repository);
  }
}

async function receiveManifest(
  write: WriteRequest,
  reference: Reference,
): Promise<HostedRefusal | undefined> {
  const { hosted, context, by, query } = write;
  const tags = query.getAll('tag').flatMap((tag) => parseTag(tag) ?? []);
  const isLong = Number(context.req.headers['content-length'] ?? 0) > MAX_DOCUMENT_SIZE;
  const bytes = isLong
    ? undefined
    : await readBody(context.req.iterator({ destroyOnReturn: false }), MAX_DOCUMENT_SIZE);
  if (bytes === undefined) return refuseWrite('MANIFEST_TOO_LARGE');
  const published = await hosted.manifests.put({
    ...{ repository: by.repository, reference, tags, bytes },
    ...{ contentType: context.get('content-type'), by: authorOf(context) },
  });
  if (published.kind === 'refused') return published;
  const { digest, subject, previous, size } = published;
  answerEmpty(context, 201);
  context.set({
    ...{ 'docker-content-digest': digest, [HOSTED_ANSWER_HEADERS.location]: `manifests/${digest}` },
    [HOSTED_ANSWER_HEADERS.size]: String(size),
    ...(subject !== undefined && { 'oci-subject': subject }),
    ...(previous !== undefined && { [HOSTED_ANSWER_HEADERS.previous]: previous }),
  });
  if (tags.length > 0) context.set('oci-tag', tags);
  return undefined;
}

async function deleteManifest(
  { hosted, context, by }: WriteRequest,
  reference: Reference,
): Promise<HostedRefusal | undefined> {
  const removed = await hosted.removal.manifest(by.repository, reference, authorOf(context));
  if (removed.kind === 'refused') return removed;
  answerEmpty(context, 202);
  if (removed.previous !== undefined) context.set(HOSTED_ANSWER_HEADERS.previous, removed.previous);
  return undefined;
}

async function removeBlob(
  { hosted, context, by }: WriteRequest,
  written: string,
): Promise<HostedRefusal | undefined> {
  const digest = parseDigest(written);
  if (digest === undefined) return refuseWrite('DIGEST_INVALID');
  const removed = await hosted.removal.blob(by.repository, digest);
  if (removed.kind === 'refused') return removed;
  answerEmpty(context, 202);
  return undefined;
}

function authorOf(context: Context): Author {
  const [subject, credential] = [HOSTED_REQUEST_HEADERS.subject, HOSTED_REQUEST_HEADERS.credential].map(
    (header) => decodeURIComponent(context.get(header)),
  );
  return { subject: subject ?? '', credential: credential ?? '' };
}

function answerPublished(context: Context, { digest, size }: PublishedBlob): undefined {
  answerEmpty(context, 201);
  context.set({
    ...{ 'docker-content-digest': digest, [HOSTED_ANSWER_HEADERS.location]: `blobs/${digest}` },
    [HOSTED_ANSWER_HEADERS.size]: String(size),
  });
}

/**
 * Koa would send the words of the status as the body. It sets 204 for a null body, so the status is set
 * again.
 */
function answerEmpty(context: Context, status: 201 | 202 | 204): void {
  context.status = status;
  context.body = null;
  context.status = status;
  if (status !== 204) context.set('content-length', '0');
}

function answerUpload(context: Context, upload: Upload, status: 202 | 204): undefined {
  answerEmpty(context, status);
  setUpload(context, upload);
}

/**
 * A client whose chunk was refused learns where to go on. If there is no room for it, the upload is over,
 * because a client that went on would show the refusal of what it tried then.
 */
async function answerUploadRefusal(
  { hosted, context }: WriteRequest,
  upload: Upload,
  refusal: HostedRefusal,
): Promise<undefined> {
  if (refusal.error === 'DENIED' && !upload.isOver) await hosted.uploads.refuse(upload, refusal);
  answerHostedRefusal(context, refusal);
  if (!upload.isOver) setUpload(context, upload);
}

/** An upload without bytes has the range `0-0`, which clients expect. */
function setUpload(context: Context, { id, offset }: Upload): void {
  context.set({
    ...{ range: `0-${Math.max(0, offset - 1)}`, 'docker-upload-uuid': id },
    ...{ [HOSTED_ANSWER_HEADERS.location]: `blobs/uploads/${id}` },
  });
}

/**
 * The rest of a refused body is read and dropped until the gateway closes the connection. If it were closed
 * here, the gateway could lose the answer.
 */
function answerHostedRefusal(context: Context, { error, message, retryAfter }: HostedRefusal): void {
  context.status = ERRORS[error].status;
  context.body = errorBody(error, message);
  context.set({ 'content-type': 'application/json', [CORE_HEADERS.error]: error });
  if (retryAfter !== undefined) context.set('retry-after', String(retryAfter));
}
