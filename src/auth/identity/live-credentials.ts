import { ANONYMOUS, writeSubject } from '../../access/subject.ts';
import type { Federation } from '../../config/federation.ts';
import { type Live, LiveValue } from '../../platform/live.ts';
import type { Logger } from '../../platform/log.ts';
import { runInSlices } from '../../platform/steps.ts';
import type { Credentials } from '../../registry/auth-api.ts';
import type { AuthState, StoredLogin, StoredToken } from '../state/auth-state.ts';
import { FEDERATED_NAME, federationCredential } from './federation/federated-login.ts';
import type { LiveUsers } from './live-users.ts';
import { passwordCredential } from './password.ts';
import { loginCredential, tokenCredential } from './service-token.ts';
import { ownerOf } from './token-owner.ts';
import { subjectOf } from './user-subject.ts';
import type { User, Users } from './users-file.ts';

/** The credential of whoever shows none. */
export const ANONYMOUS_CREDENTIAL = 'anonymous';

export interface LiveCredentials extends Live<Credentials>, Disposable {
  /** Reads them now: somebody was just told of one that may be younger than the last look. */
  refresh(): Promise<void>;
}

/** Every credential that is in force: gateways ask it at every request whether what was shown still counts. */
export async function followCredentials(
  users: LiveUsers,
  state: AuthState,
  federations: readonly Federation[],
  log: Logger,
): Promise<LiveCredentials> {
  const read = async () => credentialsOf(users.current, state, federations);
  const live = new LiveValue(await read());
  const learn = async () => {
    const next = await read();
    // Whoever waits for a change is not to be woken by none.
    if (JSON.stringify(next) !== JSON.stringify(live.current)) live.set(next);
  };
  let isOver = false;
  let looking = Promise.resolve();
  /** One after the other: what was read last is what holds. */
  const refresh = () => {
    looking = looking.then(async () => {
      try {
        await learn();
      } catch (error) {
        if (!isOver) log.error({ error: (error as Error).message }, 'the credentials cannot be read');
      }
    });
    return looking;
  };
  const follow = async () => {
    while (!isOver) {
      // Taken before what they tell of is read, so that nothing that changes meanwhile is missed.
      const changed = Promise.race([users.changed(), state.changes.changed()]);
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
    [Symbol.dispose]: () => {
      isOver = true;
    },
  };
}

async function credentialsOf(
  users: Users,
  state: AuthState,
  federations: readonly Federation[],
): Promise<Credentials> {
  const certificates = await state.certificates();
  const logins = await state.logins();
  const tokens = await state.tokens();
  // Ids are hashes: those of ten thousand users take longer than others should wait.
  const passwords = new Map(await runInSlices(passwordEntries(users)));
  return {
    inForce: Object.fromEntries([
      [ANONYMOUS_CREDENTIAL, { subject: writeSubject(ANONYMOUS) }],
      ...passwords,
      // One ends with the password for which it was given.
      ...logins.filter(({ credential }) => passwords.has(credential)).map(loginEntry),
      ...tokens.flatMap((token) => tokenEntry(token, ownerOf(token, users))),
      ...federations.map(federationEntry),
    ]),
    revokedCertificates: certificates.flatMap(({ tbsHash, revokedAt }) =>
      revokedAt === null ? [] : [tbsHash],
    ),
  };
}

function* passwordEntries(users: Users): Generator<void, Entry[]> {
  const entries: Entry[] = [];
  for (const user of users.values()) {
    if (!user.isDisabled) entries.push(...passwordEntry(user));
    yield;
  }
  return entries;
}

type Entry = [id: string, Credentials['inForce'][string]];

function passwordEntry(user: User): Entry[] {
  if (user.passwordHash === undefined) return [];
  return [[passwordCredential(user.name, user.passwordHash), { subject: writeSubject(subjectOf(user)) }]];
}

function loginEntry({ id, user, expiresAt }: StoredLogin): Entry {
  return [loginCredential(id), { subject: writeSubject({ kind: 'user', name: user }), until: expiresAt }];
}

function tokenEntry({ id, expiresAt, pull, from }: StoredToken, owner: User | undefined): Entry[] {
  if (owner === undefined || owner.isDisabled) return [];
  const subject = writeSubject(subjectOf(owner));
  return [[tokenCredential(id), { subject, until: expiresAt, ...(pull && { pull }), ...(from && { from }) }]];
}

/** One for all of its subjects, which are not known before they log in. */
function federationEntry(federation: Federation): Entry {
  const subject = `${FEDERATED_NAME}:${federation.name}:`;
  return [federationCredential(federation), { subject, isPrefix: true }];
}
