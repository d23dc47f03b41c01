/**
 * The state of auth besides the users file: service tokens, refresh tokens, sessions and client certificates.
 * The running auth and commands change it at the same time. It does not know how any of them is presented or
 * verified.
 */
import type { ObservableValue } from '../../platform/observable-value.ts';
import type { DeviceDecision, StoredDevice } from './stored-device.ts';
import type { ConfirmedPerson, StoredPerson } from './stored-person.ts';

/** A service token. It contains no secret, only a hash that a secret can be compared with. */
export interface StoredToken {
  readonly id: string;
  /** The user or service that owns the token. */
  readonly owner: string;
  /** The id of the owner's entry in the users file when the token was made; null if that entry had none. */
  readonly ownerId: string | null;
  /** The SHA-256 of the secret as hex. A random secret of 178 bits needs no slow hash. */
  readonly hash: string;
  /** All times are in milliseconds since the epoch. */
  readonly createdAt: number;
  readonly expiresAt: number;
  /** The canonical patterns to which the token restricts the pulls of its owner; null if it does not. */
  readonly pull: readonly string[] | null;
  /** The canonical patterns to which it restricts the pushes; absent if the token has no such list. */
  readonly push?: readonly string[];
  /** The only networks from which the token is valid; null if it is valid everywhere. */
  readonly from: readonly string[] | null;
  readonly lastUsedAt: number | null;
  readonly lastUsedFrom: string | null;
  /** The time of the last log message that the token ends soon. */
  readonly warnedAt: number | null;
  /** The name that its owner gave it; null if it has none. */
  readonly label: string | null;
}

/** A login that a client may renew without the password by a refresh token. */
export interface StoredLogin {
  readonly id: string;
  readonly user: string;
  readonly hash: string;
  /** The credential id of the password that it was given for. It ends with that password. */
  readonly credential: string;
  /** The name that the client gave itself. */
  readonly client: string;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly lastUsedAt: number | null;
}

/** A browser session of the account page. It contains no secret, only the hash of its id. */
export interface StoredSession {
  /** The SHA-256 of the id as hex. A random id of 256 bits needs no slow hash. */
  readonly hash: string;
  readonly user: string;
  /** The name of the login that vouches for the user; null if the user is in the users file. */
  readonly login: string | null;
  readonly createdAt: number;
  /** The time of the last request, which may be some seconds old. */
  readonly usedAt: number;
  readonly expiresAt: number;
  /** The time at which the user last proved who they are. */
  readonly authenticatedAt: number;
  /** The id of the credential that it was given for. It ends with that credential. */
  readonly credential: string;
  /** The id of the session at the identity provider, which a logout there names; null if there is none. */
  readonly sid: string | null;
}

/** A client certificate that was issued here, or that was only revoked here. */
export interface StoredCertificate {
  /** The SHA-256 of its DER encoding, as lower-case hex. */
  readonly fingerprint: string;
  /** The SHA-256 of the part that its issuer signed. It is revoked by this, see `tbsHash`. */
  readonly tbsHash: string;
  readonly name: string;
  readonly serial: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly revokedAt: number | null;
}

export interface AuthState extends AsyncDisposable {
  /** Changes whenever this or another process has changed anything. */
  readonly changes: ObservableValue<number>;
  tokens(): Promise<readonly StoredToken[]>;
  /** Reads the current token, so that a change by another process counts at once. */
  token(id: string): Promise<StoredToken | undefined>;
  /**
   * Resolves to false if the owner has `most` tokens already. That holds for all who put tokens at the same
   * time, in a cluster too.
   */
  putToken(token: StoredToken, most?: number): Promise<boolean>;
  /** Resolves to true if there was one. */
  removeToken(id: string): Promise<boolean>;
  /**
   * Records the use of a token within a second, because a token is used at every pull. It does not count as a
   * change, and if it cannot be written, nobody has to wait.
   */
  useToken(id: string, at: number, from: string): Promise<void>;
  /** Records the log message that the token ends soon. Like a use, it is written later. */
  warnedOfToken(id: string, at: number): Promise<void>;
  logins(): Promise<readonly StoredLogin[]>;
  login(id: string): Promise<StoredLogin | undefined>;
  putLogin(login: StoredLogin): Promise<void>;
  removeLogin(id: string): Promise<boolean>;
  useLogin(id: string, at: number): Promise<void>;
  /** Sessions are read whenever they are used, so a change of them is not a change of this state. */
  sessions(): Promise<readonly StoredSession[]>;
  session(hash: string): Promise<StoredSession | undefined>;
  putSession(session: StoredSession): Promise<void>;
  removeSession(hash: string): Promise<boolean>;
  /** Records the use of a session. Like the use of a token, it is written later. */
  useSession(hash: string, at: number): Promise<void>;
  /** Like sessions, devices are read whenever they are needed. */
  devices(): Promise<readonly StoredDevice[]>;
  device(hash: string): Promise<StoredDevice | undefined>;
  deviceOf(userCode: string): Promise<StoredDevice | undefined>;
  /** Rejects if another device has the same code. */
  putDevice(device: StoredDevice): Promise<void>;
  /** Records the answer. Resolves to false if there is no such device, or if it has an answer already. */
  decideDevice(hash: string, decision: DeviceDecision): Promise<boolean>;
  removeDevice(hash: string): Promise<boolean>;
  certificates(): Promise<readonly StoredCertificate[]>;
  putCertificate(certificate: StoredCertificate): Promise<void>;
  /** Resolves to true if there was one that was not revoked yet. */
  revokeCertificate(fingerprint: string, at: number): Promise<boolean>;
  people(): Promise<readonly StoredPerson[]>;
  person(name: string): Promise<StoredPerson | undefined>;
  personOf(login: string, stableId: string): Promise<StoredPerson | undefined>;
  /** Binds a name. Rejects if the name or the id at that login is bound already. */
  putPerson(person: StoredPerson): Promise<void>;
  /**
   * Replaces the record of the person who had `name`, and whose login is the same. Resolves to false if the
   * name is bound to another id by now. Rejects if the new name is bound to somebody else. With
   * `refusedBefore` it also resolves to false if that is not the `refusedAt` of the person any more.
   */
  updatePerson(name: string, person: StoredPerson, refusedBefore?: number | null): Promise<boolean>;
  /** Records that a directory has confirmed these people and that nothing else about them changed. */
  confirmPeople(login: string, people: readonly ConfirmedPerson[], at: number): Promise<void>;
  removePerson(name: string): Promise<boolean>;
}
