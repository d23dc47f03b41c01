/**
 * The body of an answer between nodes: frames of a length in 4 bytes, big-endian, and so many bytes. An empty
 * frame says that the node is alive while it waits for bytes itself. The last frame says that the content is
 * complete, which the end of a connection does not say.
 */
import { MAX_FRAME } from './limits.ts';

const LENGTH = 4;
const END = 0xffff_ffff;

/** A piece of content, a sign of life, or the end. */
export type Frame = Buffer | 'alive' | 'end';

export function formatFrame(frame: Frame): readonly Buffer[] {
  const length = Buffer.allocUnsafe(LENGTH);
  length.writeUInt32BE(frame === 'end' ? END : frame === 'alive' ? 0 : frame.length);
  return typeof frame === 'string' ? [length] : [length, frame];
}

/** Thrown if a body ends in the middle, or is no body of frames. */
class BrokenFrames extends Error {
  override readonly name = 'BrokenFrames';
}

/**
 * Yields the content in a body of frames.
 * @throws BrokenFrames
 */
export async function* readFrames(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
  const head = Buffer.alloc(LENGTH);
  let headLength = 0;
  let missing = 0;
  for await (const piece of body) {
    for (let at = 0; at < piece.length; ) {
      if (missing > 0) {
        const bytes = piece.subarray(at, at + missing);
        missing -= bytes.length;
        at += bytes.length;
        yield bytes;
        continue;
      }
      const bytes = piece.subarray(at, at + LENGTH - headLength);
      bytes.copy(head, headLength);
      headLength += bytes.length;
      at += bytes.length;
      if (headLength < LENGTH) continue;
      headLength = 0;
      missing = head.readUInt32BE();
      if (missing === END) return;
      if (missing > MAX_FRAME) throw new BrokenFrames(`a frame of ${missing} bytes`);
    }
  }
  throw new BrokenFrames('the other node has ended its answer too early');
}
