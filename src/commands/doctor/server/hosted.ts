import { type Looked, wrong } from '../checks.ts';
import type { ExaminedServer } from './server.ts';

/** Says whether the hosted repositories can be used. */
export function hostedRepositories({
  config,
  core,
}: {
  readonly config: Pick<ExaminedServer['config'], 'hosted'>;
  readonly core: ExaminedServer['core'];
}): Looked {
  if (core === undefined) return { skipped: 'the core opens them, and it does not run' };
  const error = core.hosted?.error ?? null;
  if (error === null) return { findings: [] };
  const directory = config.hosted?.directory ?? 'hosted';
  const mend = `stop the mirror, move ${directory} away, and copy a backup back: hubgate hosted restore DIRECTORY`;
  return { findings: [wrong('hosted repositories', `cannot be used: ${error}`, mend)] };
}
