/**
 * Can Hubgate run in this home? It answers before anything is made in it, depends on the files as they are, and changes
 * nothing.
 */
import type { Config } from '../config/config.ts';
import type { Fault } from '../platform/fault.ts';
import type { HomePaths, Role } from './home.ts';
import { examineServerPair, pairFault } from './server-certificate.ts';

export interface HomeFindings {
  /** Why a start would fail. */
  readonly faults: readonly Fault[];
  /** What starts, but serves nobody. */
  readonly refusals: readonly Fault[];
  readonly warnings: readonly Fault[];
}

/** What is wrong for one role, or for all of them. */
export async function examineHome(
  config: Config,
  paths: HomePaths,
  role: Role | undefined,
): Promise<HomeFindings> {
  const pair =
    role === undefined || role === 'gateway' ? ((await examineServerPair(config, paths)) ?? []) : [];
  const at = (level: string) => pair.filter((problem) => problem.level === level).map(pairFault);
  return { faults: at('unusable'), refusals: at('refused'), warnings: at('doubtful') };
}
