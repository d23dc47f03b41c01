import { pipeline, type Readable, type Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib';
import { errorCode } from '../../platform/reason.ts';
import type { UpstreamResponse } from './upstream-response.ts';

const OPTIONS = { chunkSize: 256 * 1024 };
const DECODERS: Readonly<Record<string, () => Transform>> = {
  gzip: () => createGunzip(OPTIONS),
  'x-gzip': () => createGunzip(OPTIONS),
  deflate: () => createInflate(OPTIONS),
  br: () => createBrotliDecompress(OPTIONS),
  zstd: () => createZstdDecompress(OPTIONS),
};
/** The most encodings of one body. */
const MAX_ENCODINGS = 2;

/**
 * Removes the `Content-Encoding` of a response. No request asks for one, but some CDNs compress nevertheless,
 * and clients accept that. A name that is not a compression, such as `aws-chunked`, changes nothing; the
 * digest tells whether the bytes are right. A part of a compressed body cannot be read by itself, and stays
 * as it is.
 */
export function decodeContent(response: UpstreamResponse, method: 'GET' | 'HEAD'): UpstreamResponse {
  if (response.statusCode === 206 || !isEncoded(response)) return response;
  const { 'content-encoding': _, 'content-length': __, ...headers } = response.headers;
  if (method === 'HEAD') return { ...response, headers };
  let body: Readable = response.body;
  for (const decoder of decodersOf(response).toReversed()) body = pipeline(body, decoder(), () => {});
  return { ...response, headers, body };
}

/** True if the body, or a part of it, is compressed. */
export function isEncoded(response: Pick<UpstreamResponse, 'headers'>): boolean {
  return decodersOf(response).length > 0;
}

/**
 * True if the bytes are not compressed as the response said. A body that ends too early is not such an error,
 * because the rest may come.
 */
export function isUndecodable(error: unknown): boolean {
  const code = errorCode(error) ?? '';
  return /^(?:Z_|ERR_BROTLI|ERR__ERROR|ZSTD_)/.test(code) && code !== 'Z_BUF_ERROR';
}

function decodersOf({ headers }: Pick<UpstreamResponse, 'headers'>): readonly (() => Transform)[] {
  const encodings = [headers['content-encoding'] ?? []].flat().join(',').split(',', MAX_ENCODINGS);
  return encodings.flatMap((encoding) => DECODERS[encoding.trim().toLowerCase()] ?? []);
}
