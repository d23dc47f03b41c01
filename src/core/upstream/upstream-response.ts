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
