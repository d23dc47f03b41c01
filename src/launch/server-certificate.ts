import type { Config } from '../config/config.ts';
import type { HomePaths } from '../config/home.ts';
import { whyIncomplete } from '../pki/local-ca.ts';
import { examinePair, type PairProblem } from '../pki/server-pair.ts';
import { type Clock, systemClock } from '../platform/clock.ts';
import { type Fault, formatFault } from '../platform/fault.ts';
import { ABSENT, stateOfFile } from '../platform/watched-files.ts';

/** True if the configuration names files other than the default ones. */
export function isPairConfigured({ certificate, key }: Config['tls'], { server }: HomePaths): boolean {
  return certificate !== server.certificate || key !== server.key;
}

/**
 * Returns what is wrong with the server's certificate and key; undefined if there are none and the next start
 * makes them.
 */
export async function examineServerPair(
  { tls }: Pick<Config, 'tls'>,
  paths: HomePaths,
  clock: Clock = systemClock,
): Promise<readonly PairProblem[] | undefined> {
  const incomplete = await whyIncomplete(tls, isPairConfigured(tls, paths));
  if (incomplete !== undefined) {
    const [what = '', ...mend] = incomplete.message.split('; ');
    return [{ file: incomplete.source, what, mend: mend.join('; '), level: 'unusable' }];
  }
  if ((await stateOfFile(tls.certificate)) === ABSENT) return undefined;
  return examinePair({ server: tls, ca: paths.ca.certificate, clock });
}

export function pairFault({ file, what, mend }: PairProblem): Fault {
  return { source: file, message: `${what}; ${mend}` };
}

/** Returns why no server can use the certificate and key, and what to do; undefined if one can. */
export async function explainPair(
  config: Pick<Config, 'tls'>,
  paths: HomePaths,
): Promise<string | undefined> {
  const problems = await examineServerPair(config, paths);
  const unusable = problems?.find(({ level }) => level === 'unusable');
  return unusable && formatFault(pairFault(unusable));
}
