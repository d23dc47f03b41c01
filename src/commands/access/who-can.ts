import { type Answerable, whoCan } from '../../access/who-can.ts';
import { readUsers } from '../../auth/identity/users-file.ts';
import type { Environment } from '../../config/environment.ts';
import { parseImage } from '../../registry/image.ts';
import { type HomePaths, pathsIn } from '../home.ts';
import { type ExitCode, printJson, printLine, type Terminal } from '../terminal.ts';
import { type AccessOptions, openPolicy, readTime, shownRule, valueOrPrint, writeRule } from './policy.ts';

/** Says who may pull a repository, or one tag of it. 0: somebody, 1: nobody. */
export async function whoCanPull(
  what: string,
  options: AccessOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const paths = pathsIn(options.home);
  const image = parseImage(what);
  if (image === undefined) {
    printLine(terminal.stderr, `hubgate: "${what}" is no repository, with a tag or without`);
    return 2;
  }
  const read = await openPolicy(paths, environment, terminal);
  const users = valueOrPrint(await readUsers(paths.users), paths, terminal);
  const at = readTime(undefined, terminal);
  if (read === undefined || users === undefined || at === undefined) return 2;
  const found = whoCan(read.policy, { ...image, at }, [...users.keys()]);
  const able = found.filter(({ deniedBy }) => deniedBy === undefined);
  if (options.json)
    printJson(
      terminal.stdout,
      found.map((one) => asJson(one, paths)),
    );
  else printAnswers(found, paths, terminal);
  return able.length === 0 ? 1 : 0;
}

function asJson({ who, rules, deniedBy, ...rest }: Answerable, paths: HomePaths) {
  return {
    who,
    decision: deniedBy === undefined ? 'allow' : 'deny',
    ...rest,
    rules: [...rules, ...(deniedBy === undefined ? [] : [deniedBy])].map((rule) => shownRule(rule, paths)),
  };
}

/** Whoever is named and may do no more and no less than everybody else is not worth a line. */
function printAnswers(found: readonly Answerable[], paths: HomePaths, { stdout }: Terminal): void {
  const everybody = found.find(({ who }) => who === 'authenticated');
  const lines = found.filter((one) => one === everybody || !isSame(one, everybody));
  for (const one of lines) printLine(stdout, writeAnswer(one, paths));
  if (lines.length === 0) printLine(stdout, 'nobody');
}

function isSame(one: Answerable, other: Answerable | undefined): boolean {
  const what = ({ who: _, ...rest }: Answerable) => JSON.stringify(rest);
  return other !== undefined && one.who !== 'anonymous' && what(one) === what(other);
}

function writeAnswer({ who, rules, from, notFrom, deniedBy, ...one }: Answerable, paths: HomePaths): string {
  const name = who === 'authenticated' ? 'everybody who has logged in' : who;
  const deciding = deniedBy === undefined ? rules : [deniedBy];
  const parts = [
    deniedBy === undefined ? (one.private ? 'may, private content too' : 'may') : 'may not',
    ...(from === undefined ? [] : [`from ${from.join(', ')}`]),
    ...(notFrom === undefined || deniedBy !== undefined ? [] : [`not from ${notFrom.join(', ')}`]),
  ];
  const places = deciding.map((rule) => writeRule(rule, paths));
  return `${name}  ${parts.join(', ')}  (${places.join('; ')})`;
}
