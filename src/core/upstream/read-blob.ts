import { readBody } from '../../platform/read-body.ts';
import type { Repository } from '../../registry/repository.ts';
import { isEncoded } from './decode-content.ts';
import { isPage } from './registry-refusal.ts';
import type { UpstreamAskOptions } from './resource-request.ts';
import { sizeIn, type UpstreamResponse } from './upstream-response.ts';
import { ok, type UpstreamResult, unfit } from './upstream-result.ts';

export interface BlobHead {
  /** Undefined if the upstream does not tell. */
  readonly size: number | undefined;
}

export interface AskBlobOptions extends UpstreamAskOptions {
  readonly from?: number;
  readonly size?: number;
}

export interface AskPartOptions extends UpstreamAskOptions {
  readonly start: number;
  readonly end: number;
  readonly size: number;
}

/**
 * The body of a blob. `size` is the size of the whole blob. The body begins at `from`, which is 0 if the
 * upstream does not support ranges.
 */
export interface BlobBody extends BlobHead {
  readonly from: number;
  readonly body: UpstreamResponse['body'];
  /** The host that sends it. */
  readonly host?: string;
  /** True if it comes from another node of the cluster. Then it costs nothing at the upstream. */
  readonly isFree?: boolean;
}

export function readBlobBody(
  response: UpstreamResponse,
  repository: Repository,
  { from = 0, size }: AskBlobOptions,
): UpstreamResult<BlobBody> {
  if (!response.redirected && isPage(response)) return unfit(repository, 'a page is no blob');
  if (response.statusCode === 206 && isEncoded(response))
    return unfit(repository, 'a part of a compressed blob');
  const part = response.statusCode === 206 ? partIn(response) : { begins: 0, total: sizeIn(response) };
  if (part === undefined) return unfit(repository, 'a part of a blob, without saying which');
  // An upstream that does not support ranges sends the blob from its beginning.
  if (part.begins !== 0 && part.begins !== from)
    return unfit(repository, 'another part of a blob than was asked for');
  if (size !== undefined && part.total !== undefined && part.total !== size)
    return unfit(repository, 'a blob has another size than it had before');
  return ok({ from: part.begins, size: part.total, body: response.body, host: response.host });
}

/** @throws if the body breaks off or takes longer than the deadline. */
export async function readPart(
  response: UpstreamResponse,
  repository: Repository,
  { start, end, size }: AskPartOptions,
): Promise<UpstreamResult<Buffer>> {
  const part = response.statusCode === 206 && !isEncoded(response) ? partIn(response) : undefined;
  if (part?.begins !== start || (part.total ?? size) !== size)
    return unfit(repository, 'another part of a blob than was asked for');
  const bytes = await readBody(response.body, end - start);
  return bytes?.length === end - start ? ok(bytes) : unfit(repository, 'a part of a blob has another length');
}

function partIn({ headers }: UpstreamResponse) {
  const range = /^bytes (\d{1,15})-\d{1,15}\/(\d{1,15}|\*)$/.exec(String(headers['content-range']));
  if (range === null) return undefined;
  const [, begins, total] = range;
  return { begins: Number(begins), total: total === '*' ? undefined : Number(total) };
}

/** Returns the size of the whole blob from the headers of any successful response. */
export function sizeOfBlob(response: UpstreamResponse): number | undefined {
  if (isEncoded(response)) return undefined;
  if (response.statusCode === 206) return partIn(response)?.total;
  return response.statusCode === 200 ? sizeIn(response) : undefined;
}
