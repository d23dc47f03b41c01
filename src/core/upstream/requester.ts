import type { ReadAccess } from '../../protocol/core-api.ts';
import type { Spender } from '../budget/spender.ts';
import type { Cost } from './cost.ts';
import type { ReservedPull } from './reserved-pull.ts';

/**
 * The one for whom the core works: what it may see, and who bears the cost at upstreams. Work that several
 * requesters share is at the cost of the one that began it. This holds for a fill to its end, even if that
 * one has left. Work that nobody asked for, such as a probe, has no requester.
 */
export interface Requester {
  readonly grant: ReadAccess;
  readonly cost: Cost;
  readonly spender: Spender;
  /** The pull that was taken for it already, if there is one. */
  readonly takenPull?: ReservedPull;
}
