/**
 * What auth remembers beside the users file: service tokens, remembered logins, client certificates. It is changed by the
 * running auth and by commands at the same time. It knows nothing of how any of them is shown or verified.
 */
import type { Live } from '../../platform/live.ts';

/** A service token. Its secret is not here, only what a secret can be compared with. */
export interface StoredToken {
  readonly id: string;
  /** The user or service that it is a credential of. */
  readonly owner: string;
  /** The id of the owner's entry in the users file when the token was made; null if that entry had none. */
  readonly ownerId: string | null;
  /** SHA-256 of the secret, as hex: a secret of 128 random bits needs no slow hash. */
  readonly hash: string;
  /** Milliseconds, all of them. */
  readonly createdAt: number;
  readonly expiresAt: number;
  /** Canonical patterns to which it narrows what its owner may pull; null: it does not. */
  readonly pull: readonly string[] | null;
  /** Networks from which alone it is good; null: everywhere. */
  readonly from: readonly string[] | null;
  readonly lastUsedAt: number | null;
  readonly lastUsedFrom: string | null;
  /** The time at which the log last said that the token ends soon. */
  readonly warnedAt: number | null;
}

/** A login that a client may renew without the password: what a refresh token stands for. */
export interface StoredLogin {
  readonly id: string;
  readonly user: string;
  readonly hash: string;
  /** The id of the password that it was given for: it ends with that. */
  readonly credential: string;
  /** What the client called itself. */
  readonly client: string;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly lastUsedAt: number | null;
}

/** A client certificate that was issued here, or that was only ever revoked here. */
export interface StoredCertificate {
  /** SHA-256 of its DER encoding, as lower-case hex. */
  readonly fingerprint: string;
  /** SHA-256 of what its issuer signed, by which it is revoked: see `tbsHash`. */
  readonly tbsHash: string;
  readonly name: string;
  readonly serial: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly revokedAt: number | null;
}

export interface AuthState extends AsyncDisposable {
  /** Tells when anything has changed, by whomever. */
  readonly changes: Live<number>;
  tokens(): Promise<readonly StoredToken[]>;
  /** As it is at this moment: what another process has changed counts at once. */
  token(id: string): Promise<StoredToken | undefined>;
  putToken(token: StoredToken): Promise<void>;
  /** Was there one? */
  removeToken(id: string): Promise<boolean>;
  /**
   * Writes down that a token was used, within a second, for it is used at every pull; that is no change, and where it cannot be
   * written nobody is kept waiting.
   */
  useToken(id: string, at: number, from: string): Promise<void>;
  /** Records that the log said that the token ends soon. Like a use, it is written later. */
  warnedOfToken(id: string, at: number): Promise<void>;
  logins(): Promise<readonly StoredLogin[]>;
  login(id: string): Promise<StoredLogin | undefined>;
  putLogin(login: StoredLogin): Promise<void>;
  removeLogin(id: string): Promise<boolean>;
  useLogin(id: string, at: number): Promise<void>;
  certificates(): Promise<readonly StoredCertificate[]>;
  putCertificate(certificate: StoredCertificate): Promise<void>;
  /** Was there one, and was it not revoked yet? */
  revokeCertificate(fingerprint: string, at: number): Promise<boolean>;
}
