import type { BlobReader } from '../../../src/gateway/delivery/blob-reader.ts';

export interface BlobRead {
  readonly bytes: number;
  readonly right: boolean;
  /** True if the reader came to the end; false if it left before. */
  readonly complete: boolean;
}

/**
 * Reads a blob as the gateway delivers it, and compares each byte. Rejects where the gateway would cut the
 * connection.
 */
export async function readBlob(
  source: BlobReader,
  expected: Buffer,
  { buffer, leaveAt }: { readonly buffer: Buffer; readonly leaveAt: number },
): Promise<BlobRead> {
  let right = true;
  let position = 0;
  while (position < leaveAt && position !== source.size) {
    const until = await source.available(position);
    if (until <= position) {
      if (source.size !== undefined) throw new Error('the blob is shorter than was announced');
      break;
    }
    const length = await source.read(buffer, position, Math.min(until - position, buffer.length));
    if (length === 0) throw new Error('the file is shorter than it should be');
    right &&= expected.subarray(position, position + length).equals(buffer.subarray(0, length));
    position += length;
  }
  const complete = position < leaveAt;
  return { bytes: position, right: right && (!complete || position === expected.length), complete };
}
