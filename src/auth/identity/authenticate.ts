import type { Principal } from '../../access/principal.ts';
import { compileTokenRestriction, type TokenRestriction } from '../../access/token-restriction.ts';
import type { DirectoryLogin } from '../../config/login.ts';
import type { Clock } from '../../platform/clock.ts';
import { parseNetwork } from '../../platform/network.ts';
import type { ObservableValue } from '../../platform/observable-value.ts';
import type { LoginPassword } from '../../protocol/auth-api.ts';
import { PASSWORD_LENGTH } from '../limits.ts';
import type { AuthState, StoredToken } from '../state/auth-state.ts';
import type { CheckPassword, PasswordAttempt } from './check-password.ts';
import { countedPeople, identityOf, isOfPerson, personCredential } from './directory/counted-people.ts';
import type { DirectoryPasswords } from './directory/directory-passwords.ts';
import { FEDERATED_NAME, type FederatedLogin } from './federation/federated-login.ts';
import { passwordCredential } from './password.ts';
import { isTokenSecret, parseServiceToken, type ServiceToken, tokenCredential } from './service-token.ts';
import { byOwnerId, type CountedOwner, ownerOf } from './token-owner.ts';
import { subjectOfPerson, subjectOfUser } from './user-subject.ts';
import type { Users } from './users-file.ts';

export type Verdict =
  | (Principal & {
      readonly kind: 'authenticated';
      /** The restriction of the credential: it may do less than its subject. Absent if there is none. */
      readonly restriction?: TokenRestriction;
      /**
       * The end of the credential, in milliseconds since the epoch. Everything that is issued for it ends
       * then too. Absent if no end is known.
       */
      readonly until?: number;
    })
  | { readonly kind: 'wrong' }
  /** The credential is right, and its owner must be confirmed by the directory of this login first. */
  | { readonly kind: 'suspended'; readonly login: string }
  /** The directory that must judge the login does not answer. */
  | { readonly kind: 'unavailable'; readonly login: string }
  /** More passwords wait than can be hashed in time. */
  | { readonly kind: 'busy' };

/**
 * Identifies a user by name and password or token. It takes the same time whether or not the name is known.
 */
export type Authenticate = (
  login: LoginPassword,
  address: string,
  options?: LoginOptions,
) => Promise<Verdict>;

/** Both are read only if the verdict depends on them, because they may be getters that cost something. */
export interface LoginOptions {
  /** True if the login may belong to another registry. Then its failure counts against nobody. */
  readonly isStray?: boolean;
  /** Aborted when nobody wants the verdict any more. Node makes the signal of a request at its first use. */
  readonly signal?: AbortSignal;
}

/** A login, and what the answer to it can depend on. */
export interface LoginAttempt {
  readonly login: LoginPassword;
  readonly address: string;
  readonly options: LoginOptions;
}

/** One way to prove who somebody is. */
export interface IdentityProvider {
  readonly name: string;
  /** Resolves to `unhandled` if another provider must judge the login. */
  authenticate(attempt: LoginAttempt): Promise<Verdict | 'unhandled'>;
}

export interface AuthenticateOptions {
  readonly users: ObservableValue<Users>;
  readonly state: AuthState;
  /** The logins of directories. */
  readonly logins: readonly DirectoryLogin[];
  readonly checkPassword: CheckPassword;
  /** Judges the passwords of directories; absent if there are none. */
  readonly directoryPasswords?: DirectoryPasswords | undefined;
  readonly federatedLogin: FederatedLogin;
  readonly clock: Clock;
}

/** Asks the providers in order. The first that recognises a login judges it. */
export function createAuthenticate(options: AuthenticateOptions): Authenticate {
  const directoryPasswords = options.logins.some(isAskedForLogins) ? options.directoryPasswords : undefined;
  const providers = [
    federation(options),
    serviceTokens(options),
    ...(directoryPasswords ? [directories(directoryPasswords, options)] : []),
    passwords(options, directoryPasswords),
  ];
  return async (login, address, options = {}) => {
    for (const provider of providers) {
      const verdict = await provider.authenticate({ login, address, options });
      if (verdict !== 'unhandled') return verdict;
    }
    return { kind: 'wrong' };
  };
}

/** The user name of a federated login is no account, so wrong attempts count against nobody. */
function federation({ federatedLogin }: Pick<AuthenticateOptions, 'federatedLogin'>): IdentityProvider {
  return {
    name: 'federation',
    authenticate: async ({ login }) =>
      login.username === FEDERATED_NAME ? federatedLogin(login.password) : 'unhandled',
  };
}

function serviceTokens(options: ServiceTokenDependencies): IdentityProvider {
  return {
    name: 'service token',
    async authenticate({ login, address }) {
      if (login.password.length > PASSWORD_LENGTH.most) return 'unhandled';
      const presented = parseServiceToken(login.password);
      return presented === undefined
        ? 'unhandled'
        : byServiceToken(presented, login.username, address, options);
    },
  };
}

/** Judges the logins of those who are not in the users file. */
function directories(
  checkPasswords: DirectoryPasswords,
  { users, logins }: Pick<AuthenticateOptions, 'users' | 'logins'>,
): IdentityProvider {
  return {
    name: 'directory',
    async authenticate(attempt) {
      if (users.current.has(attempt.login.username)) return 'unhandled';
      const verdict = await checkPasswords.judge(new AttemptedPassword(attempt), 'everywhere');
      if (verdict.kind === 'refused') return { kind: 'wrong' };
      if (verdict.kind !== 'right') return verdict;
      const { person } = verdict;
      const { offline = 0 } = logins.find(({ name }) => name === person.login) ?? {};
      return {
        kind: 'authenticated',
        subject: subjectOfPerson(person.name),
        credential: personCredential(person),
        until: person.confirmedAt + offline,
      };
    },
  };
}

function isAskedForLogins(login: DirectoryLogin): boolean {
  return login.kind === 'ldap' && login.passwords === 'everywhere';
}

/**
 * Judges every login, so that it takes the same time for every name. `directories` are those that are asked
 * too.
 */
function passwords(
  { checkPassword }: Pick<AuthenticateOptions, 'checkPassword'>,
  directories?: DirectoryPasswords,
): IdentityProvider {
  return {
    name: 'password',
    async authenticate(attempt) {
      if (attempt.login.password.length > PASSWORD_LENGTH.most) return { kind: 'wrong' };
      const presented = new AttemptedPassword(attempt);
      const checked = await checkPassword(presented);
      if (checked.kind === 'wrong' && directories !== undefined)
        return directories.askForNobody(presented, 'everywhere');
      if (checked.kind !== 'right') return checked;
      const { user, hash } = checked;
      return {
        kind: 'authenticated',
        subject: subjectOfUser(user),
        credential: passwordCredential(user.name, hash),
      };
    },
  };
}

class AttemptedPassword implements PasswordAttempt {
  readonly username: string;
  readonly password: string;
  readonly address: string;
  readonly #options: LoginOptions;

  constructor({ login, address, options }: LoginAttempt) {
    this.username = login.username;
    this.password = login.password;
    this.address = address;
    this.#options = options;
  }

  get counts(): boolean {
    return this.#options.isStray !== true;
  }

  get signal(): AbortSignal | undefined {
    return this.#options.signal;
  }
}

type ServiceTokenDependencies = Pick<AuthenticateOptions, 'users' | 'state' | 'logins' | 'clock'>;

/**
 * Returns the owner of a token. If the directory has refused the person, `until` is 0, and the token is
 * answered with `suspended`.
 */
async function currentOwner(
  token: StoredToken,
  { users, state, logins }: ServiceTokenDependencies,
): Promise<CountedOwner | undefined> {
  if (!isOfPerson(token)) return ownerOf(token, { users: users.current, people: new Map() });
  const { login, id } = identityOf(token);
  const person = await state.personOf(login, id);
  if (person === undefined) return undefined;
  const counted = countedPeople([{ ...person, refusedAt: null }], logins, users.current);
  const owner = ownerOf(token, { users: users.current, people: byOwnerId(counted) });
  return owner && person.refusedAt !== null ? { ...owner, until: 0 } : owner;
}

/** Accepts a token that belongs to its owner, has not expired, and is presented from a permitted network. */
async function byServiceToken(
  presented: ServiceToken,
  name: string,
  address: string,
  dependencies: ServiceTokenDependencies,
): Promise<Verdict> {
  const { state, clock } = dependencies;
  const token = await state.token(presented.id);
  if (token === undefined || !isTokenSecret(presented.secret, token.hash)) return { kind: 'wrong' };
  const owner = await currentOwner(token, dependencies);
  // The name of a person may have changed in the directory since the token was made.
  if (owner === undefined || (owner.name !== name && token.owner !== name)) return { kind: 'wrong' };
  if (token.expiresAt <= clock()) return { kind: 'wrong' };
  const { pull, push, from } = token;
  if (from !== null && parseNetwork(from)?.contains(address) !== true) return { kind: 'wrong' };
  if (owner.until <= clock()) return { kind: 'suspended', login: identityOf(token).login };
  await state.useToken(token.id, clock(), address);
  const restriction = compileTokenRestriction({ pull: pull ?? undefined, push, from: from ?? undefined });
  return {
    kind: 'authenticated',
    subject: owner.subject,
    credential: tokenCredential(token.id),
    restriction,
  };
}
