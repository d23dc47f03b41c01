import type { Readable } from 'node:stream';
import type { Dispatcher } from '../../platform/undici.ts';

export interface UpstreamResponse extends Pick<Dispatcher.ResponseData, 'statusCode' | 'headers'> {
  /** The body as it arrived, or decoded. */
  readonly body: Readable & Partial<Pick<Dispatcher.ResponseData['body'], 'dump'>>;
  /**
   * True if another host answered than the one that was asked. Then its refusals say nothing about the
   * repository.
   */
  readonly redirected: boolean;
  /** The host that answered. */
  readonly host: string;
}

/** Returns the length of the body, if the headers tell it. */
export function sizeIn({ headers }: UpstreamResponse): number | undefined {
  const length = headers['content-length'];
  return typeof length === 'string' && /^\d{1,15}$/.test(length) ? Number(length) : undefined;
}
