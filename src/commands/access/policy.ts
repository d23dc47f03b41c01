import path from 'node:path';
import { readPolicy } from '../../access/load-policy.ts';
import type { PolicyContext } from '../../access/policy-context.ts';
import type { RuleData } from '../../access/policy-data.ts';
import { type PolicySource, parsePolicy, type ReadPolicy } from '../../access/policy-file.ts';
import { parseMoment } from '../../access/policy-schema.ts';
import type { Config } from '../../config/config.ts';
import type { Environment } from '../../config/environment.ts';
import { type HomePaths, inHome } from '../../config/home.ts';
import { policyContext } from '../../config/policy-context.ts';
import { loadOrPrint, printFaults } from '../../launch/load.ts';
import { printLine, type Terminal } from '../../launch/terminal.ts';
import { systemClock } from '../../platform/clock.ts';
import type { Fault, Parsed } from '../../platform/fault.ts';

export interface AccessOptions {
  readonly home: string;
  readonly json: boolean;
}

/** A policy and the configuration beside it. */
interface OpenedPolicy extends ReadPolicy {
  readonly config: Config;
}

/** Reads the policy of a home. Returns undefined after printing everything that is wrong with its files. */
export async function openPolicy(
  paths: HomePaths,
  environment: Environment,
  terminal: Terminal,
): Promise<OpenedPolicy | undefined> {
  const config = await loadOrPrint(paths, environment, terminal);
  if (config === undefined) return undefined;
  const read = valueOrPrint(
    await readPolicy(paths.policy, systemClock(), policyContext(config)),
    paths,
    terminal,
  );
  return read && { ...read, config };
}

/** Parses texts as if they were the files of a home's policy. */
export function policyOf(
  sources: readonly PolicySource[],
  context: PolicyContext,
  paths: HomePaths,
  terminal: Terminal,
): ReadPolicy | undefined {
  return valueOrPrint(parsePolicy(sources, systemClock(), context), paths, terminal);
}

export function valueOrPrint<T>(parsed: Parsed<T>, paths: HomePaths, terminal: Terminal): T | undefined {
  if ('value' in parsed) return parsed.value;
  printFaults(
    parsed.faults.map((fault): Fault => ({ ...fault, source: inHome(fault.source, paths) })),
    terminal,
    paths.home,
  );
  return undefined;
}

/** Returns the file and line of a rule. */
function placeOf({ source, line }: RuleData, paths: HomePaths): string {
  return `${inHome(path.resolve(source), paths)}:${line}`;
}

/** Says which content the read access covers. */
export function formatContent(reachesPrivate: boolean): string {
  return reachesPrivate ? 'private content too' : 'public content only';
}

/**
 * Formats a rule's name and place. The name of a rule without a name is its place, which is then not
 * repeated.
 */
export function formatRule(rule: RuleData, paths: HomePaths): string {
  const place = placeOf(rule, paths);
  return place.endsWith(`/${rule.id}`) ? place : `${rule.id} ${place}`;
}

/** Returns a rule as it is printed in JSON. */
export function displayedRule(rule: RuleData, paths: HomePaths) {
  const { id, effect, because, private: reachesPrivate } = rule;
  return {
    id,
    effect,
    place: placeOf(rule, paths),
    private: reachesPrivate,
    ...(because !== undefined && { because }),
  };
}

/** Returns the time in milliseconds, or undefined after saying that `text` is not a time. */
export function parseTimeOrPrint(text: string | undefined, { stderr }: Terminal): number | undefined {
  const moment = text === undefined ? systemClock() : parseMoment(text)?.begins;
  if (moment === undefined)
    printLine(stderr, `hubgate: "${text}" is no time: write 2027-01-31, or 2027-01-31T18:00:00Z`);
  return moment;
}
