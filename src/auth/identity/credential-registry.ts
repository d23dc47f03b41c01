import { ANONYMOUS, writeSubject } from '../../access/subject.ts';
import type { Federation } from '../../config/federation.ts';
import type { Logger } from '../../platform/log.ts';
import { type Live, LiveValue } from '../../platform/observable-value.ts';
import { runInSlices } from '../../platform/scheduling/time-slicing.ts';
import type { Credentials } from '../../protocol/auth-api.ts';
import type { AuthState, StoredLogin, StoredToken } from '../state/auth-state.ts';
import { FEDERATED_NAME, federationCredential } from './federation/federated-login.ts';
import { passwordCredential } from './password.ts';
import { loginCredential, tokenCredential } from './service-token.ts';
import { ownerOf } from './token-owner.ts';
import { subjectOf } from './user-subject.ts';
import type { User, Users } from './users-file.ts';
import type { LiveUsers } from './users-watcher.ts';

/** The credential id of clients that present no credential. */
export const ANONYMOUS_CREDENTIAL = 'anonymous';

export interface LiveCredentials extends Live<Credentials>, Disposable {
  /**
   * Reads the credentials now, because somebody has just received one that may be newer than the last look.
   */
  refresh(): Promise<void>;
}

/**
 * All credentials that are in force. Gateways use them at every request to decide whether the presented
 * credential still counts.
 */
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
      [ANONYMOUS_CREDENTIAL, { subject: writeSubject(ANONYMOUS) }],
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

/** Returns one entry for all subjects of a federation, which are unknown before they log in. */
function federationEntry(federation: Federation): Entry {
  const subject = `${FEDERATED_NAME}:${federation.name}:`;
  return [federationCredential(federation), { subject, isPrefix: true }];
}
