import type { Findings } from '../findings.ts';
import type { PushClient } from './client.ts';
import type { Contents } from './content.ts';
import type { PushOracle, RepositoryRules } from './oracle.ts';
import type { Outages } from './outages.ts';

/** What all parties of the soak share. */
export interface PushSurroundings {
  readonly repositories: readonly RepositoryRules[];
  readonly contents: Contents;
  readonly oracle: PushOracle;
  readonly outages: Outages;
  readonly findings: Findings;
  readonly signal: AbortSignal;
  readonly mayPull: (client: PushClient, repository: string) => boolean;
}
