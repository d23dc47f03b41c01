/** Passes a request of an upload on to the node of the cluster that has its bytes. */
import type { IncomingMessage } from 'node:http';
import type { Context } from 'koa';
import type { StreamedRequest } from '../../platform/ipc/streamed-request.ts';
import { readBody } from '../../platform/read-body.ts';
import { CORE_HEADERS } from '../../protocol/core-api.ts';
import {
  HOSTED_ANSWER_HEADERS,
  HOSTED_REQUEST_HEADERS,
  WRITE_ANSWER_HEADERS,
  WRITE_BODY_HEADERS,
} from '../../protocol/hosted-api.ts';
import { closingOf } from './closing.ts';

/** The gateway of this node has judged the caller, so the other core gets what this one was told. */
const SENT = [
  ...[CORE_HEADERS.upstream, CORE_HEADERS.path, CORE_HEADERS.caller],
  ...[...Object.values(HOSTED_REQUEST_HEADERS), ...WRITE_BODY_HEADERS],
];

/** The headers of an answer that the gateway reads. */
const ANSWERED = [
  ...['content-length', ...WRITE_ANSWER_HEADERS, CORE_HEADERS.error],
  // This node has set the id of the push, because it knows the other requests of the push.
  ...Object.values(HOSTED_ANSWER_HEADERS).filter((name) => name !== HOSTED_ANSWER_HEADERS.push),
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
    ...{ method, path: req.url ?? '', headers: sentHeaders(req) },
    ...{ body: hasBody ? req : undefined, signal: closingOf(context) },
  });
  if (answer === undefined) return false;
  try {
    const body = await readBody(answer, MAX_ANSWER);
    context.status = answer.statusCode ?? 500;
    context.body = body === undefined || body.length === 0 ? null : body;
    // Koa makes 204 of an answer without a body.
    context.status = answer.statusCode ?? 500;
    context.set(answerHeaders(answer));
    return true;
  } finally {
    answer.destroy();
  }
}

function sentHeaders({ headers }: IncomingMessage): Record<string, string> {
  return Object.fromEntries(
    SENT.flatMap((name) => {
      const value = headers[name];
      return typeof value === 'string' ? [[name, value]] : [];
    }),
  );
}

/** A header such as `oci-tag` can occur several times. */
function answerHeaders({ headersDistinct }: IncomingMessage): Record<string, string | string[]> {
  return Object.fromEntries(
    ANSWERED.flatMap((name) => {
      const [first, ...others] = headersDistinct[name] ?? [];
      return first === undefined ? [] : [[name, others.length === 0 ? first : [first, ...others]]];
    }),
  );
}
