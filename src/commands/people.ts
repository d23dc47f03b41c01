import { whyNoName } from '../access/subject.ts';
import { type ListedPerson, linkPerson, listedPeople, unlinkPerson } from '../auth/admin/people.ts';
import type { Config } from '../config/config.ts';
import type { Environment } from '../config/environment.ts';
import { pathsIn } from '../config/home.ts';
import { loadOrPrint } from '../launch/load.ts';
import { type ExitCode, printJson, printLine, type Terminal } from '../launch/terminal.ts';
import { systemClock } from '../platform/clock.ts';
import { didYouMean } from '../platform/nearest.ts';
import { credentialStores } from './credential-stores.ts';
import { printTable } from './table.ts';

export interface PeopleOptions {
  readonly home: string;
}

/** Lists the people of directories: who vouches for them, since when, and which groups they have. */
export async function listPeople(
  options: PeopleOptions & { readonly json: boolean },
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const config = await loadOrPrint(pathsIn(options.home), environment, terminal);
  if (config === undefined) return 2;
  const people = await listedPeople(await credentialStores(options.home, environment));
  const listed = people.map((person) => ({ ...person, state: stateOf(person, config, systemClock()) }));
  if (options.json)
    printJson(
      terminal.stdout,
      listed.map(({ refresh, ...person }) => ({
        ...person,
        confirmedAt: formatTime(person.confirmedAt),
        refusedAt: formatTime(person.refusedAt),
        linkedAt: formatTime(person.linkedAt),
        namedAt: formatTime(person.namedAt),
        canBeConfirmed: refresh !== null || isLdap(person.login, config),
      })),
    );
  else
    printTable(terminal.stdout, {
      heading: ['NAME', 'LOGIN', 'STATE', 'CONFIRMED', 'TOKENS', 'GROUPS'],
      rows: listed.map(({ name, login, state, confirmedAt, tokens, groups }) => [
        name,
        login,
        state,
        formatTime(confirmedAt) ?? '-',
        String(tokens),
        String(groups.length),
      ]),
      empty: 'nobody of a directory has logged in yet; see docs/logins.md',
    });
  return 0;
}

/** Gives a name to an account of a directory, although somebody else has it here. */
export async function linkUser(
  [name = '', login = '', stableId]: readonly string[],
  options: PeopleOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const config = await loadOrPrint(pathsIn(options.home), environment, terminal);
  if (config === undefined) return 2;
  const known = config.logins.map((one) => one.name);
  const wrong = whyNoName(name) ?? whyNoLogin(login, known);
  if (wrong !== undefined) {
    printLine(terminal.stderr, `hubgate: ${wrong}`);
    return 2;
  }
  const place = await credentialStores(options.home, environment);
  const linked = await linkPerson(place, { name, login, ...(stableId !== undefined && { stableId }) });
  if ('otherName' in linked) {
    const { otherName } = linked;
    printLine(
      terminal.stderr,
      `hubgate: that account of ${login} has the name ${otherName}; unlink it first: hubgate user unlink ${otherName}`,
    );
    return 1;
  }
  const whom =
    linked.stableId === null
      ? `whoever logs in at ${login} as ${name} next`
      : `${linked.stableId} of ${login}`;
  printLine(terminal.stdout, `${name} belongs to ${whom}; a running mirror knows within a second`);
  return 0;
}

/** Takes a name from an account of a directory, so that another one can have it. */
export async function unlinkUser(
  name: string,
  options: PeopleOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const person = await unlinkPerson(await credentialStores(options.home, environment), name);
  if (person === undefined) {
    printLine(terminal.stderr, `hubgate: nobody of a directory has the name "${name}"`);
    return 1;
  }
  printLine(
    terminal.stdout,
    `${name} is unlinked from ${person.login}, and the tokens of ${name} from there have ended`,
  );
  return 0;
}

function whyNoLogin(login: string, known: readonly string[]): string | undefined {
  if (known.includes(login)) return undefined;
  const meant = didYouMean(login, known);
  const listed = known.length === 0 ? '; there is none' : `; there are ${known.join(', ')}`;
  return `"${login}" is no login of hubgate.yaml${meant === '' ? listed : meant}`;
}

function isLdap(login: string, { logins }: Config): boolean {
  return logins.some((one) => one.name === login && one.kind === 'ldap');
}

/** `linked`: nobody has logged in with the name yet. `unknown`: the login is not configured any more. */
function stateOf(
  { login, stableId, refusedAt, confirmedAt }: ListedPerson,
  { logins }: Config,
  now: number,
): string {
  const configured = logins.find(({ name }) => name === login);
  if (configured === undefined) return 'unknown';
  if (refusedAt !== null) return 'refused';
  if (stableId === null || confirmedAt === 0) return 'linked';
  return confirmedAt + configured.offline <= now ? 'suspended' : 'active';
}

function formatTime(time: number | null): string | null {
  return time === null || time === 0 ? null : new Date(time).toISOString();
}
