import { addAbortSignal } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { asError } from '../../platform/reason.ts';
import type { CoreLimits } from '../limits.ts';
import { isUndecodable } from '../upstream/decode-content.ts';
import type { BlobBody } from '../upstream/read-blob.ts';
import { ok, type UpstreamResult } from '../upstream/upstream-result.ts';
import type { Bandwidth } from './bandwidth.ts';
import { coalesceChunks } from './coalesce-chunks.ts';

/**
 * Requests the bytes of one blob from the offset `from` on. `size` is the size of the whole blob, if it is
 * known.
 */
export type OpenBlob = (from: number, size: number | undefined) => Promise<UpstreamResult<BlobBody>>;

export interface ReceiveOptions {
  readonly open: OpenBlob;
  /** Called with the number of bytes whenever some have arrived. */
  readonly onReceived: (bytes: number) => void;
  readonly limits: Pick<CoreLimits, 'resumptions' | 'resumeAfter'>;
  /** Absent if the upstream has no limit on its bandwidth. */
  readonly bandwidth?: Bandwidth | undefined;
  /** Aborted when nobody wants the bytes any more. */
  readonly signal: AbortSignal;
}

/** Thrown if a blob cannot be received to its end. */
class BrokenOff extends Error {
  override readonly name: string = 'BrokenOff';
}

/**
 * Thrown if the repository that sends the bytes has refused. Its refusal says nothing about any other
 * repository.
 */
export class RepositoryRefused extends BrokenOff {
  override readonly name = 'RepositoryRefused';
}

/**
 * Yields the bytes of a blob from `position` on, in order. They come from `first` and from as many further
 * answers as necessary: if the upstream stalls, resets the connection or ends too early, the missing bytes
 * are requested from it. Each time the registry redirects anew, because signed URLs expire. Bytes are valid
 * until the next ones are requested.
 * @throws BrokenOff if a resumption does not help.
 */
export async function* receiveBlob(
  first: BlobBody,
  position: number,
  { open, onReceived, limits, bandwidth, signal }: ReceiveOptions,
): AsyncGenerator<Buffer, void> {
  const { size } = first;
  let at = position;
  let answer = ok(first);
  for (let resumption = 0; ; resumption++) {
    let trouble = 'it ends too early';
    try {
      for await (const bytes of bytesFrom(answer, at, signal, bandwidth)) {
        at += bytes.length;
        if (answer.kind === 'ok' && answer.value.isFree !== true) onReceived(bytes.length);
        yield bytes;
      }
      if (size === undefined || at >= size) return;
    } catch (error) {
      trouble = retryReasonOrThrow(asError(error), at);
    }
    if (resumption === limits.resumptions || signal.aborted)
      throw new BrokenOff(`at ${at} bytes: ${trouble}`);
    await delay(limits.resumeAfter * 2 ** resumption, undefined, { signal }).catch(() => {});
    answer = await open(at, size);
  }
}

/**
 * Returns why the body broke off.
 * @throws BrokenOff if asking again does not help.
 */
function retryReasonOrThrow(error: Error, at: number): string {
  if (error instanceof BrokenOff) throw error;
  if (isUndecodable(error)) throw new BrokenOff(`at ${at} bytes: ${error.message}`);
  return error.message;
}

async function* bytesFrom(
  answer: UpstreamResult<BlobBody>,
  position: number,
  signal: AbortSignal,
  bandwidth: Bandwidth | undefined,
): AsyncGenerator<Buffer, void> {
  if (answer.kind === 'denied') throw new RepositoryRefused(`at ${position} bytes: the upstream says no`);
  if (answer.kind === 'unavailable') {
    const { cause, detail } = answer.failure;
    throw cause === 'unfit' ? new BrokenOff(detail) : new Error(detail);
  }
  const { body, from, isFree = false } = answer.value;
  addAbortSignal(signal, body);
  // An upstream without range support sends the bytes that are already here again.
  let superfluous = position - from;
  const pieces = coalesceChunks(body, from);
  const paced = isFree ? undefined : bandwidth?.pace(pieces, signal);
  for await (const bytes of paced ?? pieces) {
    if (superfluous < bytes.length) yield bytes.subarray(superfluous);
    superfluous = Math.max(0, superfluous - bytes.length);
  }
}
