/**
 * Sends writes to the core, which stores what is hosted. This module depends on `protocol/hosted-api.ts`, and
 * must not know why a caller may write.
 */
import type { IncomingMessage } from 'node:http';
import { sendStreamed } from '../../platform/ipc/streamed-request.ts';
import { readBody } from '../../platform/read-body.ts';
import { CORE_HEADERS, type ReadAccess } from '../../protocol/core-api.ts';
import {
  HOSTED_ANSWER_HEADERS,
  HOSTED_PATH,
  HOSTED_REQUEST_HEADERS,
  WRITE_ANSWER_HEADERS,
  WRITE_BODY_HEADERS,
} from '../../protocol/hosted-api.ts';
import { type ErrorName, isErrorName } from '../../registry/error.ts';
import type { Repository } from '../../registry/repository.ts';
import type { ResponseHeaders } from '../http/respond.ts';

/** A write that was authorized. */
export interface HostedWrite {
  readonly method: string;
  readonly repository: Repository;
  /** The resource of the distribution API below the repository, with its query. */
  readonly resource: string;
  readonly subjectKey: string;
  /** An opaque text that is the same for all requests of one subject at one address with one client. */
  readonly caller: string;
  readonly subject: string;
  readonly credential: string;
  /** The repository from which a blob may be mounted. */
  readonly from?: { readonly repository: Repository; readonly grant: ReadAccess } | undefined;
  /** The client's request. Its body is streamed, if it has one. */
  readonly request: IncomingMessage;
  readonly hasBody: boolean;
  /** Aborted when the client has gone, or may not write any more. */
  readonly signal: AbortSignal;
}

export interface HostedAnswer {
  readonly status: number;
  readonly body: Buffer;
  readonly headers: HostedAnswerHeaders;
  /** The resource below the repository that becomes the `Location`. */
  readonly location?: string;
  /** The digest that a tag meant before. */
  readonly previous?: string;
  /** The id of the push that the request belongs to. */
  readonly push?: string;
  /** The bytes of the blob or manifest that was published. */
  readonly size?: number;
  /** The name of a refusal. */
  readonly error?: ErrorName;
}

/** The headers of an answer that the client gets. The compiler names one that `respond` would drop. */
type HostedAnswerHeaders = Pick<ResponseHeaders, (typeof WRITE_ANSWER_HEADERS)[number]>;

/** The most bytes of an answer, which is empty or the words of a refusal. */
const MAX_ANSWER = 64 * 1024;

/** Sends a write to the core. */
export type SendWrite = (write: HostedWrite) => Promise<HostedAnswer>;

export function createSendWrite(socket: string): SendWrite {
  return async (write) => {
    const { method, resource, request, hasBody, signal } = write;
    const response = await sendStreamed(socket, {
      ...{ method, path: `${HOSTED_PATH}${resource}`, headers: headersOf(write) },
      ...{ body: hasBody ? request : undefined, signal },
    });
    try {
      return answerIn(response, await readBody(response, MAX_ANSWER));
    } finally {
      response.destroy();
    }
  };
}

function headersOf(write: HostedWrite): Record<string, string> {
  const { repository, subjectKey, caller, subject, credential, from, request } = write;
  const described = WRITE_BODY_HEADERS.flatMap((name) => {
    const value = request.headers[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return {
    ...Object.fromEntries(described),
    [CORE_HEADERS.upstream]: repository.upstream,
    [CORE_HEADERS.path]: repository.path,
    [HOSTED_REQUEST_HEADERS.subjectKey]: subjectKey,
    [CORE_HEADERS.caller]: caller,
    [HOSTED_REQUEST_HEADERS.subject]: encodeURIComponent(subject),
    [HOSTED_REQUEST_HEADERS.credential]: encodeURIComponent(credential),
    ...(from && {
      [HOSTED_REQUEST_HEADERS.mountFrom]: [from.repository.upstream, from.repository.path, from.grant].join(
        ' ',
      ),
    }),
  };
}

function answerIn(
  { statusCode = 0, headers, headersDistinct }: IncomingMessage,
  body: Buffer = Buffer.alloc(0),
): HostedAnswer {
  const {
    [HOSTED_ANSWER_HEADERS.location]: location,
    [HOSTED_ANSWER_HEADERS.previous]: previous,
    [HOSTED_ANSWER_HEADERS.push]: push,
    [HOSTED_ANSWER_HEADERS.size]: size,
    [CORE_HEADERS.error]: error,
  } = headers;
  return {
    status: statusCode,
    body,
    headers: passedHeaders(headersDistinct),
    ...(typeof location === 'string' && { location }),
    ...(typeof previous === 'string' && { previous }),
    ...(typeof push === 'string' && { push }),
    ...(typeof size === 'string' && { size: Number(size) }),
    ...(typeof error === 'string' && isErrorName(error) && { error }),
  };
}

function passedHeaders(received: IncomingMessage['headersDistinct']): HostedAnswerHeaders {
  return Object.fromEntries(
    WRITE_ANSWER_HEADERS.flatMap((name) => {
      const values = received[name];
      if (values === undefined) return [];
      // Only this header can occur several times.
      return [[name, name === 'oci-tag' ? values : values[0]]];
    }),
  );
}
