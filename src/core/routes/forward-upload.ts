/** Passes a request of an upload on to the node of the cluster that has its bytes. */
import type { IncomingMessage } from 'node:http';
import type { Context } from 'koa';
import type { StreamedRequest } from '../../platform/ipc/streamed-request.ts';
import { readBody } from '../../platform/read-body.ts';
import { CORE_HEADERS } from '../../protocol/core-api.ts';
import { HOSTED_HEADERS } from '../../protocol/hosted-api.ts';
import { closingOf } from './closing.ts';

/** The gateway of this node has judged the caller, so the other core gets what this one was told. */
const SENT = [
  ...[CORE_HEADERS.upstream, CORE_HEADERS.path, CORE_HEADERS.caller],
  ...[HOSTED_HEADERS.subjectKey, HOSTED_HEADERS.subject, HOSTED_HEADERS.credential],
  ...['content-length', 'content-type', 'content-range'],
];

/** What a gateway reads of an answer, except the id of the push, which this node has set. */
const ANSWERED = [
  ...[
    'content-type',
    'content-length',
    'docker-content-digest',
    'docker-upload-uuid',
    'range',
    'retry-after',
  ],
  ...[HOSTED_HEADERS.location, HOSTED_HEADERS.size, CORE_HEADERS.error],
];

/** The most bytes of an answer, which is empty or the words of a refusal. */
const MAX_ANSWER = 64 * 1024;

/** Resolves to false if no other node has the upload. Then nothing of the body was read. */
export async function forwardUpload(
  context: Context,
  send: (request: StreamedRequest) => Promise<IncomingMessage | undefined>,
): Promise<boolean> {
  const { req, method } = context;
  const hasBody =
    req.headers['content-length'] !== undefined || req.headers['transfer-encoding'] !== undefined;
  const answer = await send({
    ...{ method, path: req.url ?? '', headers: picked(req.headers, SENT) },
    ...{ body: hasBody ? req : undefined, signal: closingOf(context) },
  });
  if (answer === undefined) return false;
  try {
    const body = await readBody(answer, MAX_ANSWER);
    context.status = answer.statusCode ?? 500;
    context.body = body === undefined || body.length === 0 ? null : body;
    // Koa makes 204 of an answer without a body.
    context.status = answer.statusCode ?? 500;
    context.set(picked(answer.headers, ANSWERED));
    return true;
  } finally {
    answer.destroy();
  }
}

function picked(headers: IncomingMessage['headers'], names: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = headers[name];
      return typeof value === 'string' ? [[name, value]] : [];
    }),
  );
}
