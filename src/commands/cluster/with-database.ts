import type { ClusterConfig } from '../../config/cluster.ts';
import type { Config } from '../../config/config.ts';
import type { Environment } from '../../config/environment.ts';
import { type HomePaths, pathsIn } from '../../config/home.ts';
import { loadOrPrint } from '../../launch/load.ts';
import { type ExitCode, printLine, type Terminal } from '../../launch/terminal.ts';
import { DatabaseUnavailable } from '../../platform/database-unavailable.ts';
import type { Postgres } from '../../platform/postgres.ts';

/** The database and the settings that a verb about the cluster uses. */
export interface ClusterAccess {
  readonly database: Postgres;
  readonly cluster: ClusterConfig;
  readonly paths: HomePaths;
  readonly config: Config;
}

/** Milliseconds for one query of a person who waits. */
const DEADLINE = 10_000;

/** Runs `task` with the database of the cluster, or prints why there is none. */
export async function withClusterDatabase(
  home: string,
  environment: Environment,
  terminal: Terminal,
  task: (access: ClusterAccess) => Promise<ExitCode>,
): Promise<ExitCode> {
  const paths = pathsIn(home);
  const config = await loadOrPrint(paths, environment, terminal);
  if (config === undefined) return 2;
  const { cluster } = config;
  const { stderr } = terminal;
  if (cluster === undefined) {
    printLine(stderr, 'hubgate: this home is no node of a cluster; see the section cluster of hubgate.yaml');
    return 2;
  }
  const { Postgres } = await import('../../platform/postgres.ts');
  const options = { application: 'hubgate command', connections: 2, deadline: DEADLINE };
  await using database = new Postgres({ url: cluster.database, ...options });
  try {
    return await task({ database, cluster, paths, config });
  } catch (error) {
    if (!(error instanceof DatabaseUnavailable)) throw error;
    printLine(stderr, `hubgate: ${error.message}`);
    return 1;
  }
}
