import type { Config } from '../../../config/config.ts';
import type { Clock } from '../../../platform/clock.ts';
import type { AuthStatus } from '../../../registry/auth-api.ts';
import type { CoreStatus } from '../../../registry/core-api.ts';
import type { HomePaths } from '../../home.ts';

/** The facts on which the checks of a mirror rely. */
export interface Server {
  readonly paths: HomePaths;
  readonly config: Config;
  readonly clock: Clock;
  /** The status that each role reports; undefined if the role does not answer. */
  readonly auth: AuthStatus | undefined;
  readonly core: CoreStatus | undefined;
}
