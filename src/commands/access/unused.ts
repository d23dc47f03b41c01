import { unusedRules } from '../../access/replay.ts';
import type { Environment } from '../../config/environment.ts';
import { pathsIn } from '../../config/home.ts';
import { type ExitCode, printJson, printLine, type Terminal } from '../../launch/terminal.ts';
import { systemClock } from '../../platform/clock.ts';
import { parseSince, whyNoTime } from '../audited-time.ts';
import { printTable } from '../table.ts';
import { auditedPulls } from './audited-pulls.ts';
import { readPeopleGroups } from './people-groups.ts';
import { type AccessOptions, displayedRule, formatRule, openPolicy } from './policy.ts';

export interface UnusedOptions extends AccessOptions {
  readonly since: string;
}

/** Lists the rules that no audited pull needed. */
export async function listUnusedRules(
  options: UnusedOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const paths = pathsIn(options.home);
  const now = systemClock();
  const since = parseSince(options.since, now);
  if (since === undefined) {
    printLine(terminal.stderr, `hubgate: ${whyNoTime('--since', options.since)}`);
    return 2;
  }
  const read = await openPolicy(paths, environment, terminal);
  if (read === undefined) return 2;
  const people = await readPeopleGroups([read.policy], {
    config: read.config,
    home: options.home,
    environment,
  });
  const pulls = [];
  for await (const pull of auditedPulls(read.config.log.audit, since))
    pulls.push({ ...pull, groups: people.of(pull.subject) });
  // If nothing was recorded, every rule would seem unused.
  const unused = pulls.length === 0 ? [] : unusedRules(read.policy, pulls);
  if (options.json) {
    printJson(terminal.stdout, {
      pulls: pulls.length,
      audited: pulls.length > 0,
      unused: unused.map(({ rule, why }) => ({ ...displayedRule(rule, paths), why })),
    });
    return 0;
  }
  if (pulls.length === 0) {
    printLine(
      terminal.stdout,
      `nothing has been audited since ${new Date(since).toISOString()} (${read.config.log.audit}), so nobody can say which rules are unused`,
    );
    return 0;
  }
  printTable(terminal.stdout, {
    heading: ['RULE', 'WHY'],
    rows: unused.map(({ rule, why }) => [
      formatRule(rule, paths),
      why === 'redundant' ? 'others allow the same' : 'no pull matched it',
    ]),
  });
  printLine(terminal.stdout, `unused rules: ${unused.length}  audited pulls since then: ${pulls.length}`);
  return 0;
}
