import type { Repository } from '../../registry/repository.ts';
import type { Requester } from './requester.ts';
import type { UpstreamIdentity } from './upstream.ts';
import type { UpstreamResponse } from './upstream-response.ts';
import type { UpstreamRefusal, UpstreamResult } from './upstream-result.ts';

export interface UpstreamAskOptions {
  readonly as: UpstreamIdentity;
  /** Absent if the request is at nobody's cost. */
  readonly requester?: Requester;
  /** The milliseconds for the whole request, if the standard deadline is too long. */
  readonly deadline?: number;
}

/** A request to one upstream, and how its answer is obtained. */
export interface ResourceRequest {
  readonly repository: Repository;
  readonly method: 'GET' | 'HEAD';
  readonly resource: string;
  readonly ask: UpstreamAskOptions;
  readonly headers?: Readonly<Record<string, string>>;
  /** True if a redirect of a HEAD means yes, and is not followed. */
  readonly acceptsRedirect?: boolean;
  /** The registry's own statuses that mean the same as a 404 in its own words here. */
  readonly absentBy?: readonly number[];
  /**
   * Returns false if this refusal is not the answer, because the caller asks in another way then. Such a
   * refusal is neither cached nor logged.
   */
  readonly isFinal?: (answer: UpstreamRefusal) => boolean;
}

/** Reads an answer. It reads or destroys the body, and may find the answer invalid. */
export type ReadUpstreamResponse<T> = (response: UpstreamResponse) => Promise<UpstreamResult<T>>;
