import { directoryGroupsIn, formatDirectoryGroup } from '../../access/directory-group.ts';
import type { Policy } from '../../access/policy.ts';
import { ANONYMOUS, formatSubject, hasDirectoryGroups, type Subject } from '../../access/subject.ts';
import type { Federation } from '../../config/federation.ts';
import type { DirectoryLogin } from '../../config/login.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/log.ts';
import { MutableValue, type ObservableValue } from '../../platform/observable-value.ts';
import { runInSlices } from '../../platform/scheduling/time-slicing.ts';
import type { Credentials, PersonGroups } from '../../protocol/auth-api.ts';
import type { AuthState, StoredLogin, StoredToken } from '../state/auth-state.ts';
import {
  type CountedPeople,
  type CountedPerson,
  countedPeople,
  personCredential,
} from './directory/counted-people.ts';
import { FEDERATED_NAME, federationCredential } from './federation/federated-login.ts';
import { passwordCredential } from './password.ts';
import { loginCredential, tokenCredential } from './service-token.ts';
import { byOwnerId, type CountedOwner, ownerOf, type TokenOwners } from './token-owner.ts';
import { subjectOfPerson, subjectOfUser } from './user-subject.ts';
import type { User, Users } from './users-file.ts';
import type { WatchedUsers } from './users-watcher.ts';

/** The credential id of clients that present no credential. */
export const ANONYMOUS_CREDENTIAL = 'anonymous';

export interface CredentialRegistry extends ObservableValue<Credentials>, Disposable {
  /**
   * Reads the credentials now, because somebody has just received one that may be newer than the last look.
   */
  refresh(): Promise<void>;
  /** Returns the groups that a subject has in its directory, as far as the policy names them. */
  readonly groupsOf: (subject: Subject) => readonly string[];
}

export interface CredentialRegistryOptions {
  readonly users: WatchedUsers;
  readonly state: AuthState;
  readonly federations: readonly Federation[];
  readonly logins: readonly DirectoryLogin[];
  /** The policy, which says which groups of directories matter. */
  readonly policy: ObservableValue<Policy>;
  readonly log: Logger;
  readonly clock: Clock;
}

/**
 * Opens the list of all credentials that are in force. Gateways use them at every request to decide whether
 * the presented credential still counts.
 */
export async function openCredentialRegistry(
  options: CredentialRegistryOptions,
): Promise<CredentialRegistry> {
  const { users, state, logins, policy, log, clock } = options;
  const read = async () => credentialsOf(options, users.current, policy.current);
  const live = new MutableValue(await read());
  let groups = byName(live.current);
  const update = async () => {
    const next = await read();
    // Subscribers must not be woken if nothing has changed.
    if (JSON.stringify(next) === JSON.stringify(live.current)) return;
    groups = byName(next);
    live.set(next);
  };
  let isOver = false;
  let looking = Promise.resolve();
  /** Reads one after the other, so that the last result is the current one. */
  const refresh = () => {
    looking = looking.then(async () => {
      try {
        await update();
      } catch (error) {
        if (!isOver) log.error({ err: error }, 'the credentials cannot be read');
      }
    });
    return looking;
  };
  const follow = async () => {
    while (!isOver) {
      // The promises are created before the state is read, so that no change in the meantime is missed.
      const sources = [users, state.changes, ...(logins.length > 0 ? [policy] : [])];
      const changed = Promise.race(sources.map((source) => source.changed()));
      await refresh();
      await changed;
    }
  };
  void follow();
  return {
    get current() {
      return live.current;
    },
    changed: () => live.changed(),
    refresh,
    groupsOf: (subject) => {
      const person = hasDirectoryGroups(subject) ? groups.get(subject.name) : undefined;
      return person === undefined || person.until <= clock() ? NO_GROUPS : person.groups;
    },
    [Symbol.dispose]: () => {
      isOver = true;
    },
  };
}

const NO_GROUPS: readonly string[] = [];

function byName({ people = [] }: Credentials): ReadonlyMap<string, PersonGroups> {
  return new Map(people.map((person) => [person.name, person]));
}

async function credentialsOf(
  { state, federations, logins }: CredentialRegistryOptions,
  users: Users,
  policy: Policy,
): Promise<Credentials> {
  const certificates = await state.certificates();
  const remembered = await state.logins();
  const tokens = await state.tokens();
  const people = logins.length === 0 ? undefined : countedPeople(await state.people(), logins, users);
  const owners: TokenOwners = { users, people: byOwnerId(people) };
  // Ids are hashes. Those of ten thousand users take longer than other requests should wait.
  const passwords = new Map(await runInSlices(passwordEntries(users)));
  return {
    inForce: Object.fromEntries([
      [ANONYMOUS_CREDENTIAL, { subject: formatSubject(ANONYMOUS) }],
      ...passwords,
      // A login ends with the password that it was given for.
      ...remembered.filter(({ credential }) => passwords.has(credential)).map(loginEntry),
      ...tokens.flatMap((token) => tokenEntry(token, ownerOf(token, owners))),
      ...[...(people?.values() ?? [])].map(personEntry),
      ...federations.map(federationEntry),
    ]),
    revokedCertificates: certificates.flatMap(({ tbsHash, revokedAt }) =>
      revokedAt === null ? [] : [tbsHash],
    ),
    ...(people && { people: groupsIn(people, directoryGroupsIn(policy.data)) }),
  };
}

/** Returns the groups that the policy names, of the people who have any. */
function groupsIn(people: CountedPeople, named: ReadonlySet<string>): PersonGroups[] {
  return [...people.values()].flatMap(({ name, login, groups: all, until }) => {
    const groups = all.map((group) => formatDirectoryGroup(login, group)).filter((group) => named.has(group));
    return groups.length === 0 ? [] : [{ name, groups, until }];
  });
}

function* passwordEntries(users: Users): Generator<void, RegisteredCredential[]> {
  const entries: RegisteredCredential[] = [];
  for (const user of users.values()) {
    if (!user.isDisabled) entries.push(...passwordEntry(user));
    yield;
  }
  return entries;
}

type RegisteredCredential = [id: string, Credentials['inForce'][string]];

function passwordEntry(user: User): RegisteredCredential[] {
  if (user.passwordHash === undefined) return [];
  return [
    [passwordCredential(user.name, user.passwordHash), { subject: formatSubject(subjectOfUser(user)) }],
  ];
}

function loginEntry({ id, user, expiresAt }: StoredLogin): RegisteredCredential {
  return [loginCredential(id), { subject: formatSubject(subjectOfPerson(user)), until: expiresAt }];
}

function tokenEntry(
  { id, expiresAt, pull, push, from }: StoredToken,
  owner: CountedOwner | undefined,
): RegisteredCredential[] {
  if (owner === undefined) return [];
  const subject = formatSubject(owner.subject);
  return [
    [
      tokenCredential(id),
      {
        subject,
        until: Math.min(expiresAt, owner.until),
        ...(pull && { pull }),
        ...(push && { push }),
        ...(from && { from }),
      },
    ],
  ];
}

function personEntry(person: CountedPerson): RegisteredCredential {
  const subject = formatSubject(subjectOfPerson(person.name));
  return [personCredential(person), { subject, until: person.until }];
}

/** Returns one entry for all subjects of a federation, which are unknown before they log in. */
function federationEntry(federation: Federation): RegisteredCredential {
  const subject = `${FEDERATED_NAME}:${federation.name}:`;
  return [federationCredential(federation), { subject, isPrefix: true }];
}
