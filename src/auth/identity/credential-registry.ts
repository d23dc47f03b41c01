import { ANONYMOUS, formatSubject } from '../../access/subject.ts';
import type { Federation } from '../../config/federation.ts';
import type { Logger } from '../../platform/log.ts';
import { MutableValue, type ObservableValue } from '../../platform/observable-value.ts';
import { runInSlices } from '../../platform/scheduling/time-slicing.ts';
import type { Credentials } from '../../protocol/auth-api.ts';
import type { AuthState, StoredLogin, StoredToken } from '../state/auth-state.ts';
import { FEDERATED_NAME, federationCredential } from './federation/federated-login.ts';
import { passwordCredential } from './password.ts';
import { loginCredential, tokenCredential } from './service-token.ts';
import { ownerOf } from './token-owner.ts';
import { subjectOfUser } from './user-subject.ts';
import type { User, Users } from './users-file.ts';
import type { WatchedUsers } from './users-watcher.ts';

/** The credential id of clients that present no credential. */
export const ANONYMOUS_CREDENTIAL = 'anonymous';

export interface CredentialRegistry extends ObservableValue<Credentials>, Disposable {
  /**
   * Reads the credentials now, because somebody has just received one that may be newer than the last look.
   */
  refresh(): Promise<void>;
}

/**
 * All credentials that are in force. Gateways use them at every request to decide whether the presented
 * credential still counts.
 */
export async function openCredentialRegistry(
  users: WatchedUsers,
  state: AuthState,
  federations: readonly Federation[],
  log: Logger,
): Promise<CredentialRegistry> {
  const read = async () => credentialsOf(users.current, state, federations);
  const live = new MutableValue(await read());
  const learn = async () => {
    const next = await read();
    // Subscribers must not be woken if nothing has changed.
    if (JSON.stringify(next) !== JSON.stringify(live.current)) live.set(next);
  };
  let isOver = false;
  let looking = Promise.resolve();
  /** Reads one after the other, so that the last result is the current one. */
  const refresh = () => {
    looking = looking.then(async () => {
      try {
        await learn();
      } catch (error) {
        if (!isOver) log.error({ err: error }, 'the credentials cannot be read');
      }
    });
    return looking;
  };
  const follow = async () => {
    while (!isOver) {
      // The promises are created before the state is read, so that no change in the meantime is missed.
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
  // Ids are hashes. Those of ten thousand users take longer than other requests should wait.
  const passwords = new Map(await runInSlices(passwordEntries(users)));
  return {
    inForce: Object.fromEntries([
      [ANONYMOUS_CREDENTIAL, { subject: formatSubject(ANONYMOUS) }],
      ...passwords,
      // A login ends with the password that it was given for.
      ...logins.filter(({ credential }) => passwords.has(credential)).map(loginEntry),
      ...tokens.flatMap((token) => tokenEntry(token, ownerOf(token, users))),
      ...federations.map(federationEntry),
    ]),
    revokedCertificates: certificates.flatMap(({ tbsHash, revokedAt }) =>
      revokedAt === null ? [] : [tbsHash],
    ),
  };
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
  return [loginCredential(id), { subject: formatSubject({ kind: 'user', name: user }), until: expiresAt }];
}

function tokenEntry(
  { id, expiresAt, pull, push, from }: StoredToken,
  owner: User | undefined,
): RegisteredCredential[] {
  if (owner === undefined || owner.isDisabled) return [];
  const subject = formatSubject(subjectOfUser(owner));
  return [
    [
      tokenCredential(id),
      { subject, until: expiresAt, ...(pull && { pull }), ...(push && { push }), ...(from && { from }) },
    ],
  ];
}

/** Returns one entry for all subjects of a federation, which are unknown before they log in. */
function federationEntry(federation: Federation): RegisteredCredential {
  const subject = `${FEDERATED_NAME}:${federation.name}:`;
  return [federationCredential(federation), { subject, isPrefix: true }];
}
