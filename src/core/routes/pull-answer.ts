import { Readable } from 'node:stream';
import type { Context } from 'koa';
import { formatLine } from '../../platform/ipc/json-lines.ts';
import {
  BYTES_TYPE,
  CORE_HEADERS,
  FILL_TYPE,
  type FillProgressLine,
  type FillStart,
  LOCATION_TYPE,
  PART_TYPE,
  type UpstreamCost,
} from '../../protocol/core-api.ts';
import { ERRORS, errorBody } from '../../registry/error.ts';
import { formatPage } from '../../registry/page.ts';
import type { PulledManifest } from '../pull/deliver-manifest.ts';
import type { Fill } from '../pull/fill.ts';
import type { PullOutcome, PullRefusal } from '../pull/outcome.ts';
import type { PulledDocument } from '../pull/pull-document.ts';
import type { PulledBlob } from '../pull/pulled-blob.ts';
import type { Cost } from '../upstream/cost.ts';
import type { BlobHead } from '../upstream/read-blob.ts';
import type { Operations } from './operations.ts';

export function answerOutcome<T extends object>(
  context: Context,
  operations: Pick<Operations, 'answered'>,
  outcome: PullOutcome<T>,
  sendFound: (context: Context, found: T) => void,
): void {
  if (outcome.kind === 'refused') {
    if (outcome.age !== undefined) operations.answered('stale', outcome.age);
    answerRefusal(context, outcome);
    return;
  }
  operations.answered(outcome.cache, 'age' in outcome ? Number(outcome.age) : undefined);
  context.status = 200;
  context.set(CORE_HEADERS.cache, outcome.cache);
  if (outcome.held !== undefined) context.set(CORE_HEADERS.held, outcome.held);
  if (outcome.maxAgeMs !== undefined && outcome.maxAgeMs > 0)
    context.set(CORE_HEADERS.maxAgeMs, String(Math.floor(outcome.maxAgeMs)));
  sendFound(context, outcome);
}

export function sendManifest(
  context: Context,
  { digest, mediaType, size, bytes, age }: PulledManifest,
): void {
  if (bytes !== undefined) context.body = bytes;
  context.set({ 'content-type': mediaType, 'content-length': String(size), 'docker-content-digest': digest });
  if (age !== undefined) context.set('age', String(age));
}

export function sendBlobHead(context: Context, { size }: BlobHead): void {
  if (size !== undefined) context.set('content-length', String(size));
}

export function sendBlob(context: Context, pulled: PulledBlob, cost: Cost): void {
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
 * Yields a line with the place of the bytes, and then a line whenever the fill has come further, to its end.
 * A reader may leave at any time.
 */
async function* progressLines(fill: Fill, cost: Cost): AsyncGenerator<string> {
  const { id, location, size = null } = fill;
  yield formatLine({ id, location, size } satisfies FillStart);
  for await (const progress of fill.progress())
    yield formatLine(progress.kind === 'filling' ? progress : withCost(progress, cost.take()));
}

function withCost(
  last: Exclude<FillProgressLine, { kind: 'filling' }>,
  cost: UpstreamCost,
): FillProgressLine {
  return cost.upstreamRequests === 0 ? last : { ...last, cost };
}

export function sendDocument(context: Context, { bytes, next, filters, age }: PulledDocument): void {
  context.body = Buffer.from(bytes);
  if (age !== undefined) context.set('age', String(age));
  context.set('content-type', 'application/json');
  if (next !== undefined) context.set(CORE_HEADERS.next, formatPage(next));
  if (filters !== undefined) context.set('oci-filters-applied', filters);
}

export function answerRefusal(
  context: Context,
  { error, retryAfter, age, mediaType, quota }: PullRefusal,
): void {
  context.status = ERRORS[error].status;
  context.body = errorBody(error);
  context.set({ 'content-type': 'application/json', [CORE_HEADERS.error]: error });
  if (retryAfter !== undefined) context.set('retry-after', String(retryAfter));
  if (mediaType !== undefined) context.set(CORE_HEADERS.mediaType, mediaType);
  if (quota !== undefined) context.set(CORE_HEADERS.quotaRefusal, JSON.stringify(quota));
  if (age !== undefined) context.set('age', String(age));
}
