/** Asks a directory about the people who are bound to it, and records what it says. */
import { isName } from '../../../access/subject.ts';
import type { LdapLogin, OidcLogin } from '../../../config/login.ts';
import type { Clock } from '../../../platform/clock.ts';
import type { Logger } from '../../../platform/log.ts';
import type { ObservableValue } from '../../../platform/observable-value.ts';
import { CONFIRMATION } from '../../limits.ts';
import type { AuthState } from '../../state/auth-state.ts';
import type { StoredPerson } from '../../state/stored-person.ts';
import type { Users } from '../users-file.ts';
import { type DirectoryPerson, DirectoryUnavailable } from './directory.ts';
import type { LdapDirectory } from './ldap.ts';
import type { OidcDirectory } from './oidc.ts';
import type { TextSeal } from './sealed-text.ts';

export const REFRESH_PURPOSE = 'refresh token';

export interface ConfirmPeopleOptions {
  readonly state: AuthState;
  readonly users: ObservableValue<Users>;
  readonly seal: TextSeal;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Ends everything of a person whom the directory has refused. Their tokens are only suspended, because the directory
 * may confirm the person again.
 */
export async function refusePerson(
  person: StoredPerson,
  { state, clock, log }: Pick<ConfirmPeopleOptions, 'state' | 'clock' | 'log'>,
): Promise<void> {
  if (!(await state.updatePerson(person.name, { ...person, refusedAt: clock(), refresh: null }))) return;
  await endSessionsOf(person, state);
  log.info({ login: person.login, user: person.name }, 'the directory confirms a person no longer');
}

export async function endSessionsOf(
  { name, login }: Pick<StoredPerson, 'name' | 'login'>,
  state: Pick<AuthState, 'sessions' | 'removeSession'>,
): Promise<void> {
  for (const session of await state.sessions())
    if (session.user === name && session.login === login) await state.removeSession(session.hash);
}

/**
 * Confirms all people of an LDAP directory whose turn it is, in a few searches.
 * @throws DirectoryUnavailable
 */
export async function confirmByLdap(
  login: LdapLogin,
  directory: LdapDirectory,
  options: ConfirmPeopleOptions,
): Promise<void> {
  const due = await peopleOf(login, options);
  const said = await directory.confirm(due.map(({ stableId }) => stableId));
  const active = due.filter(({ refusedAt }) => refusedAt === null);
  // A directory that suddenly knows nobody has another base, or hides its entries. That is not a no to everybody.
  if (said.size === 0 && active.length >= CONFIRMATION.believedAlone)
    throw new DirectoryUnavailable('it finds none of the people whom it has confirmed before');
  const round = new ConfirmationRound(login.name, options);
  for (const person of due) {
    const now = said.get(person.stableId);
    if (now !== undefined) await round.confirm(person, now);
    else if (person.refusedAt === null) await refusePerson(person, options);
  }
  await round.end();
}

/**
 * Confirms all people of an identity provider who have a refresh token, a few at a time.
 * @throws DirectoryUnavailable if the provider does not answer several times in a row
 */
export async function confirmByOidc(
  login: OidcLogin,
  directory: OidcDirectory,
  options: ConfirmPeopleOptions,
): Promise<void> {
  const due = (await peopleOf(login, options)).filter(({ refusedAt }) => refusedAt === null);
  const round = new ConfirmationRound(login.name, options);
  let failures = 0;
  let failure: DirectoryUnavailable | undefined;
  const queue = due.values();
  const work = async () => {
    for (const person of queue) {
      if (failures >= CONFIRMATION.failures) return;
      try {
        await confirmOne(person, directory, round, options);
        failures = 0;
      } catch (error) {
        if (!(error instanceof DirectoryUnavailable)) throw error;
        failures++;
        failure = error;
      }
    }
  };
  await Promise.all(Array.from({ length: CONFIRMATION.concurrent }, work));
  await round.end();
  if (failure !== undefined) throw failure;
}

/**
 * Confirms one person of an identity provider by the refresh token. Without one, nobody can be confirmed, and nothing
 * happens.
 * @throws DirectoryUnavailable
 */
export async function confirmOne(
  { name }: Pick<StoredPerson, 'name'>,
  directory: OidcDirectory,
  round: ConfirmationRound,
  options: ConfirmPeopleOptions,
): Promise<'refused' | 'confirmed' | 'cannot'> {
  const { state, seal } = options;
  // Another node, or a login, may have replaced the token since the list was read.
  const person = await state.person(name);
  const token = person?.refresh == null ? undefined : seal.open(REFRESH_PURPOSE, person.refresh);
  if (person === undefined || person.stableId === null || token === undefined) return 'cannot';
  const said = await directory.refresh(token, person.stableId);
  if (said !== 'refused') {
    await round.confirm(person, said);
    return 'confirmed';
  }
  const current = await state.person(name);
  if (current === undefined || current.refresh !== person.refresh) return 'cannot';
  await refusePerson(current, options);
  return 'refused';
}

type KnownPerson = StoredPerson & { readonly stableId: string };

/** Returns the people whose turn it is. Several nodes share one list, and the first one asks. */
async function peopleOf(
  { name, confirm }: Pick<LdapLogin, 'name' | 'confirm'>,
  { state, clock }: ConfirmPeopleOptions,
): Promise<readonly KnownPerson[]> {
  const before = clock() - confirm * CONFIRMATION.notAgainWithin;
  const isDue = (person: StoredPerson): person is KnownPerson =>
    person.login === name &&
    person.stableId !== null &&
    (person.confirmedAt <= before || person.confirmedAt > clock());
  return (await state.people()).filter(isDue);
}

/** Records confirmations together, because each write is synced and tells everybody. */
export class ConfirmationRound {
  readonly #login: string;
  readonly #options: ConfirmPeopleOptions;
  #unchanged: { readonly name: string; readonly refresh: string | null }[] = [];

  constructor(login: string, options: ConfirmPeopleOptions) {
    this.#login = login;
    this.#options = options;
  }

  async confirm(person: StoredPerson, said: DirectoryPerson): Promise<void> {
    const { seal, clock, state } = this.#options;
    const refresh = said.refreshToken === undefined ? null : seal.seal(REFRESH_PURPOSE, said.refreshToken);
    const name = await this.#nameOf(person, said.name);
    const isSame =
      person.refusedAt === null && name === person.name && sameGroups(person.groups, said.groups);
    if (isSame) {
      this.#unchanged.push({ name, refresh });
      if (this.#unchanged.length >= CONFIRMATION.together) await this.end();
      return;
    }
    await state.updatePerson(person.name, {
      ...{ ...person, name, groups: said.groups, confirmedAt: clock(), refusedAt: null },
      refresh: refresh ?? person.refresh,
    });
  }

  async end(): Promise<void> {
    const people = this.#unchanged;
    this.#unchanged = [];
    const { state, clock } = this.#options;
    if (people.length > 0) await state.confirmPeople(this.#login, people, clock());
  }

  /** Returns the name that a person has from now on: that of the directory, if nobody else has it here. */
  async #nameOf({ name: before }: StoredPerson, name: string): Promise<string> {
    const { state, users, log } = this.#options;
    if (name === before) return name;
    if (isName(name) && !users.current.has(name) && (await state.person(name)) === undefined) return name;
    log.warn(
      { login: this.#login, user: before },
      'a new name of the directory cannot be taken over, so the old one stays',
    );
    return before;
  }
}

function sameGroups(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((group, index) => group === other[index]);
}
