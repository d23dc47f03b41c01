import { randomUUID } from 'node:crypto';
import type { ByteRange } from '../../registry/range.ts';
import type { ResponseBody } from '../http/response-body.ts';
import type { BlobReader } from './blob-reader.ts';
import type { SharedChunk } from './chunk-cache.ts';

/** Sends several ranges of one blob as `multipart/byteranges` (RFC 9110 §14.6). */
export interface ByteRangeParts {
  readonly type: string;
  /** The length of the whole body. */
  readonly length: number;
  send(body: ResponseBody, take: TakeChunk): Promise<void>;
}

/** Takes bytes of the source from `position` on, and none at or after `until`. */
export type TakeChunk = (
  source: BlobReader,
  position: number,
  until: number,
) => SharedChunk | Promise<SharedChunk>;

export function partsOf(source: BlobReader, size: number, ranges: readonly ByteRange[]): ByteRangeParts {
  const boundary = randomUUID();
  const parts = ranges.map((range, at) => ({ ...range, header: headerOf(range, size, boundary, at === 0) }));
  const end = Buffer.from(`\r\n--${boundary}--\r\n`);
  const lengths = parts.map(({ header, start, end }) => header.length + end - start);
  return {
    type: `multipart/byteranges; boundary=${boundary}`,
    length: lengths.reduce((sum, length) => sum + length, end.length),
    send: async (body, take) => {
      for (const { header, ...range } of parts) {
        await body.write(header);
        await sendRange(body, source, range, take);
      }
      await body.end(end);
    },
  };
}

function headerOf({ start, end }: ByteRange, size: number, boundary: string, isFirst: boolean): Buffer {
  const lines = [
    `--${boundary}`,
    'Content-Type: application/octet-stream',
    `Content-Range: bytes ${start}-${end - 1}/${size}`,
  ];
  return Buffer.from(`${isFirst ? '' : '\r\n'}${lines.join('\r\n')}\r\n\r\n`);
}

async function sendRange(
  body: ResponseBody,
  source: BlobReader,
  { start, end }: ByteRange,
  take: TakeChunk,
): Promise<void> {
  for (let position = start; position < end; ) {
    const { bytes, release } = await take(source, position, end);
    if (bytes.length === 0) throw new Error('the file is shorter than it should be');
    await body.write(bytes);
    // This is skipped after a failure, because unsent bytes may still wait in the connection.
    release();
    position += bytes.length;
  }
}
