import { type IncomingHttpHeaders, type RequestOptions, request as requestHttp } from 'node:http';
import { request as requestHttps, type RequestOptions as TlsRequestOptions } from 'node:https';
import { buffer } from 'node:stream/consumers';

export interface TestResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export type TestRequest = RequestOptions &
  TlsRequestOptions & {
    readonly tls?: boolean;
    readonly send?: string | Uint8Array;
    /** Called when the headers of the answer have arrived. */
    readonly onHeaders?: () => void;
  };

/**
 * Sends one request with Node's own client. The target is not changed: `..` and `%2e` are sent as they are
 * written.
 */
export function ask({ tls = false, send, onHeaders, ...options }: TestRequest): Promise<TestResponse> {
  const { promise, resolve, reject } = Promise.withResolvers<TestResponse>();
  const request = tls ? requestHttps(options) : requestHttp(options);
  request.on('error', reject);
  request.on('response', (response) => {
    const { statusCode: status = 0, headers } = response;
    onHeaders?.();
    buffer(response).then((body) => resolve({ status, headers, body }), reject);
  });
  request.end(send);
  return promise;
}
