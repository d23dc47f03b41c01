/** Asks a directory about the people who are bound to it, and records what it says. */
import type { LdapLogin, OidcLogin } from '../../../config/login.ts';
import { CONFIRMATION } from '../../limits.ts';
import type { AuthState } from '../../state/auth-state.ts';
import type { StoredPerson } from '../../state/stored-person.ts';
import { ConfirmationRound, type ConfirmPeopleOptions } from './confirmation-round.ts';
import { ownerIdOf } from './counted-people.ts';
import { DirectoryUnavailable, hasAllGroups } from './directory.ts';
import type { LdapDirectory } from './ldap.ts';
import type { OidcDirectory } from './oidc.ts';
import { REFRESH_PURPOSE } from './sealed-text.ts';

/**
 * Ends everything of a person whom the directory has refused. Their tokens are only suspended, because the
 * directory may confirm the person again.
 */
export async function refusePerson(
  person: StoredPerson,
  { state, clock, log }: Pick<ConfirmPeopleOptions, 'state' | 'clock' | 'log'>,
): Promise<void> {
  if (!(await state.updatePerson(person.name, { ...person, refusedAt: clock(), refresh: null }))) return;
  await endSessionsOf(person, state);
  log.info({ login: person.login, user: person.name }, 'the directory confirms a person no longer');
}

/**
 * Ends the sessions of a person: all of them, or only those that may belong to one at the identity provider.
 */
export async function endSessionsOf(
  { name, login }: Pick<StoredPerson, 'name' | 'login'>,
  state: Pick<AuthState, 'sessions' | 'removeSession'>,
  sid?: string,
): Promise<void> {
  for (const { hash, user, login: by, sid: its } of await state.sessions()) {
    const mayBelong = sid === undefined || its === null || its === sid;
    if (user === name && by === login && mayBelong) await state.removeSession(hash);
  }
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
  // A directory that suddenly knows nobody has another base, or hides its entries. That is not a no to
  // everybody.
  if (said.size === 0 && active.length >= CONFIRMATION.believedAlone)
    throw new DirectoryUnavailable('it finds none of the people whom it has confirmed before');
  const round = new ConfirmationRound(login.name, options);
  try {
    for (const person of due) {
      const now = said.get(person.stableId);
      if (now !== undefined && hasAllGroups(now)) await round.confirm(person, now);
      else if (person.refusedAt === null) await refusePerson(person, options);
    }
  } finally {
    // What the directory has said about the others counts, even if something of one person cannot be written.
    await round.end();
  }
}

/**
 * Confirms all people of an identity provider who have a refresh token, a few at a time. It begins with those
 * who have waited longest: a provider that limits requests may answer only some of them in each round.
 * @throws DirectoryUnavailable if the provider does not answer several times in a row
 */
export async function confirmByOidc(
  login: OidcLogin,
  directory: OidcDirectory,
  options: ConfirmPeopleOptions,
): Promise<void> {
  const due = (await peopleOf(login, options))
    .filter(({ refusedAt }) => refusedAt === null)
    .toSorted((one, other) => one.confirmedAt - other.confirmedAt);
  const round = new ConfirmationRound(login.name, options);
  let failures = 0;
  let failure: DirectoryUnavailable | undefined;
  const queue = due.values();
  const work = async () => {
    for (const { name } of queue) {
      if (failures >= CONFIRMATION.failures) return;
      try {
        await confirmIfDue(name, login, directory, round, options);
        failures = 0;
      } catch (error) {
        if (!(error instanceof DirectoryUnavailable)) throw error;
        failures++;
        failure = error;
      }
    }
  };
  const worked = await Promise.allSettled(Array.from({ length: CONFIRMATION.concurrent }, work));
  await round.end();
  for (const one of worked) if (one.status === 'rejected') throw one.reason;
  if (failure !== undefined) throw failure;
}

/** Another node, or a login, may have confirmed the person since the list was read. */
async function confirmIfDue(
  name: string,
  login: OidcLogin,
  directory: OidcDirectory,
  round: ConfirmationRound,
  options: ConfirmPeopleOptions,
): Promise<void> {
  const isDue = dueAt(login, options);
  await claimed(name, round, options, async (person) => {
    if (isDue(person) && person.refusedAt === null) await confirmOne(person, directory, round, options);
  });
}

/**
 * Runs a task about a person while nobody else asks about that person. Resolves to false if somebody does. A
 * person who has not logged in yet, or is gone, needs no task.
 */
export async function claimed(
  name: string,
  round: ConfirmationRound,
  { state, claims }: Pick<ConfirmPeopleOptions, 'state' | 'claims'>,
  task: (person: KnownPerson) => Promise<void>,
): Promise<boolean> {
  const known = await state.person(name);
  if (known === undefined || !isKnown(known)) return true;
  const claim = ownerIdOf(known);
  if (!(await claims.take(claim))) return false;
  try {
    // The refresh token may have been replaced before the claim.
    const current = await state.person(name);
    if (current !== undefined && isKnown(current) && ownerIdOf(current) === claim) await task(current);
  } finally {
    await round.hold(claim);
  }
  return true;
}

/**
 * Confirms one person of an identity provider by the refresh token. Without one, nobody can be confirmed, and
 * nothing happens.
 * @throws DirectoryUnavailable
 */
export async function confirmOne(
  person: KnownPerson,
  directory: OidcDirectory,
  round: ConfirmationRound,
  options: ConfirmPeopleOptions,
): Promise<'refused' | 'confirmed' | 'cannot'> {
  const { state, seal, log } = options;
  const token = person.refresh === null ? undefined : seal.open(REFRESH_PURPOSE, person.refresh);
  if (token === undefined) return 'cannot';
  const said = await directory.refresh(token, person.stableId);
  if (said.kind === 'confirmed' && hasAllGroups(said.person)) {
    await round.confirm(person, said.person);
    return 'confirmed';
  }
  const current = await state.person(person.name);
  // A login has replaced the token meanwhile, and the provider has confirmed the person by that.
  if (current === undefined || current.refresh !== person.refresh) return 'confirmed';
  if (said.kind !== 'unusable') {
    await refusePerson(current, options);
    return 'refused';
  }
  if (said.refreshToken !== undefined)
    await state.updatePerson(person.name, {
      ...current,
      refresh: seal.seal(REFRESH_PURPOSE, said.refreshToken),
    });
  if (said.fault !== undefined) throw said.fault;
  log.warn({ login: person.login, user: person.name, reason: said.reason }, 'a person cannot be confirmed');
  return 'cannot';
}

export type KnownPerson = StoredPerson & { readonly stableId: string };

function isKnown(person: StoredPerson): person is KnownPerson {
  return person.stableId !== null;
}

/** Returns the people whose turn it is. Several nodes share one list, and the first one asks. */
async function peopleOf(
  login: Pick<LdapLogin, 'name' | 'confirm'>,
  options: ConfirmPeopleOptions,
): Promise<readonly KnownPerson[]> {
  const isDue = dueAt(login, options);
  return (await options.state.people()).filter(isKnown).filter(isDue);
}

function dueAt(
  { name, confirm }: Pick<LdapLogin, 'name' | 'confirm'>,
  { clock }: Pick<ConfirmPeopleOptions, 'clock'>,
): (person: StoredPerson) => boolean {
  const now = clock();
  const before = now - confirm * CONFIRMATION.notAgainWithin;
  return ({ login, confirmedAt }) => login === name && (confirmedAt <= before || confirmedAt > now);
}
