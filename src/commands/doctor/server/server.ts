import type { Config } from '../../../config/config.ts';
import type { HomePaths } from '../../../config/home.ts';
import type { Clock } from '../../../platform/clock.ts';
import type { AuthStatus } from '../../../protocol/auth-api.ts';
import type { CoreStatus } from '../../../protocol/core-api.ts';

/** The facts on which the checks of a mirror rely. */
export interface ExaminedServer {
  readonly paths: HomePaths;
  readonly config: Config;
  readonly clock: Clock;
  /** The status that each role reports; undefined if the role does not answer. */
  readonly auth: AuthStatus | undefined;
  readonly core: CoreStatus | undefined;
}
