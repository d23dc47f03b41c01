import { groupNameOf, isName } from '../../access/subject.ts';
import { type WhoCanAnswer, whoCan } from '../../access/who-can.ts';
import { readUsers } from '../../auth/identity/users-file.ts';
import type { Environment } from '../../config/environment.ts';
import { type HomePaths, pathsIn } from '../../config/home.ts';
import { hostedNames } from '../../config/hosted.ts';
import { type ExitCode, printJson, printLine, type Terminal } from '../../launch/terminal.ts';
import type { Action } from '../../registry/action.ts';
import { ANY_NAMES, parseImage } from '../../registry/image.ts';
import { findKnown, formatUnknown, unknownIn } from './known.ts';
import { readPeopleGroups } from './people-groups.ts';
import {
  type AccessOptions,
  displayedRule,
  formatContent,
  formatRule,
  openPolicy,
  parseTimeOrPrint,
  valueOrPrint,
} from './policy.ts';

export interface WhoCanOptions extends AccessOptions {
  /**
   * True if the question is about private content. Subjects who may pull only public content are then left
   * out.
   */
  readonly private?: boolean;
  readonly action?: Action;
}

/** Prints who may pull a repository, or one tag of it. Returns 0 if somebody may, and 1 if nobody may. */
export async function whoCanPull(
  what: string,
  options: WhoCanOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const paths = pathsIn(options.home);
  const read = await openPolicy(paths, environment, terminal);
  if (read === undefined) return 2;
  const image = parseImage(what, { ...ANY_NAMES, hosted: hostedNames(read.config.hosted) });
  if (image === undefined) {
    printLine(terminal.stderr, `hubgate: "${what}" is no repository, with a tag or without`);
    return 2;
  }
  const users = valueOrPrint(await readUsers(paths.users), paths, terminal);
  const at = parseTimeOrPrint(undefined, terminal);
  if (users === undefined || at === undefined) return 2;
  const { action = 'pull' } = options;
  const all = whoCan(read.policy, { action, ...image, at }, [...users.keys()]);
  const found = all.filter((one) => options.private !== true || one.private);
  const known = await findKnown(image, undefined, read.config, paths);
  const people = await readPeopleGroups([read.policy], {
    config: read.config,
    home: options.home,
    environment,
  });
  const isMissing = (who: string) => isName(who) && !users.has(who) && !people.names.has(who);
  const membersOf = (who: string) => people.membersOf(groupNameOf(who) ?? '');
  const able = found.filter(({ deniedBy }) => deniedBy === undefined);
  if (options.json)
    printJson(
      terminal.stdout,
      found.map((one) => ({
        ...asJson(one, paths),
        ...(isGroup(one) && { members: membersOf(one.who) }),
        known: {
          user: isName(one.who) ? !isMissing(one.who) : null,
          upstream: known.upstream,
          tag: known.tag,
        },
      })),
    );
  else
    printAnswers(found, {
      isMissing,
      membersOf,
      unknown: formatUnknown(unknownIn(known, { ...image, action })),
      paths,
      terminal,
    });
  return able.length === 0 ? 1 : 0;
}

function asJson({ who, rules, deniedBy, ...rest }: WhoCanAnswer, paths: HomePaths) {
  return {
    who,
    decision: deniedBy === undefined ? 'allow' : 'deny',
    ...rest,
    content: deniedBy === undefined ? formatContent(rest.private) : null,
    rules: [...rules, ...(deniedBy === undefined ? [] : [deniedBy])].map((rule) =>
      displayedRule(rule, paths),
    ),
  };
}

/** Only groups of directories are answered for as a whole. */
function isGroup({ who }: WhoCanAnswer): boolean {
  return groupNameOf(who) !== undefined;
}

/** The most members that a line lists. */
const MOST_MEMBERS = 5;

function formatMembers(members: readonly string[]): string {
  if (members.length === 0) return '; nobody of it has logged in yet';
  const more = members.length > MOST_MEMBERS ? ` and ${members.length - MOST_MEMBERS} more` : '';
  return `; has logged in: ${members.slice(0, MOST_MEMBERS).join(', ')}${more}`;
}

interface ListedAnswer {
  readonly isMissing: (who: string) => boolean;
  /** Returns the members of a group who have logged in. */
  readonly membersOf: (who: string) => readonly string[];
  /** The unknown parts of the image, for the first line. */
  readonly unknown: string;
  readonly paths: HomePaths;
  readonly terminal: Terminal;
}

/** Prints one line for each answer. A subject who may do exactly what everybody may is left out. */
function printAnswers(
  found: readonly WhoCanAnswer[],
  { isMissing, membersOf, unknown, paths, terminal: { stdout } }: ListedAnswer,
): void {
  const everybody = found.find(({ who }) => who === 'authenticated');
  const listed = found.filter((one) => one === everybody || !isSame(one, everybody));
  const lines = listed.map((one) => {
    const missing = isMissing(one.who) ? '; not in users.yaml' : '';
    const members = isGroup(one) ? formatMembers(membersOf(one.who)) : '';
    return `${formatAnswer(one, paths)}${missing}${members}`;
  });
  const [first = 'nobody', ...others] = lines;
  for (const line of [`${first}${unknown}`, ...others]) printLine(stdout, line);
}

function isSame(one: WhoCanAnswer, other: WhoCanAnswer | undefined): boolean {
  const what = ({ who: _, ...rest }: WhoCanAnswer) => JSON.stringify(rest);
  return other !== undefined && one.who !== 'anonymous' && what(one) === what(other);
}

function formatAnswer(
  { who, rules, from, notFrom, deniedBy, ...one }: WhoCanAnswer,
  paths: HomePaths,
): string {
  const name = who === 'authenticated' ? 'everybody who has logged in' : who;
  const deciding = deniedBy === undefined ? rules : [deniedBy];
  const parts = [
    deniedBy === undefined ? `may, ${formatContent(one.private)}` : 'may not',
    ...(from === undefined ? [] : [`from ${from.join(', ')}`]),
    ...(notFrom === undefined || deniedBy !== undefined ? [] : [`not from ${notFrom.join(', ')}`]),
  ];
  const places = deciding.map((rule) => formatRule(rule, paths));
  return `${name}  ${parts.join(', ')}  (${places.join('; ')})`;
}
