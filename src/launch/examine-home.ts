/**
 * Examines whether Hubgate can run in this home. The examination comes before anything is created, reads the
 * files as they are, and changes nothing.
 */
import type { Config } from '../config/config.ts';
import type { HomePaths } from '../config/home.ts';
import type { Fault } from '../platform/fault.ts';
import { examineFiles, type FilesScope } from './home-files.ts';
import { examineServerPair, pairFault } from './server-certificate.ts';

export interface HomeFindings {
  /** Faults that would make a start fail. */
  readonly faults: readonly Fault[];
  /** Faults with which the mirror starts, but serves nobody. */
  readonly refusals: readonly Fault[];
  readonly warnings: readonly Fault[];
}

/** Returns what is wrong for one role, or for all roles. */
export async function examineHome(
  config: Config,
  paths: HomePaths,
  scope: FilesScope,
): Promise<HomeFindings> {
  const servesClients = scope.role === undefined || scope.role === 'gateway';
  const pair = servesClients ? ((await examineServerPair(config, paths)) ?? []) : [];
  const at = (level: string) => pair.filter((problem) => problem.level === level).map(pairFault);
  const faults = [...(await examineFiles(config, paths, scope)), ...at('unusable')];
  return { faults, refusals: at('refused'), warnings: at('doubtful') };
}
