/** The types that the parts of directory logins share. */
import type { DirectoryLogin, LdapLogin, OidcLogin } from '../../../config/login.ts';
import type { Clock } from '../../../platform/clock.ts';
import type { EgressOptions } from '../../../platform/egress/proxy-rules.ts';
import type { Logger } from '../../../platform/log.ts';
import type { ObservableValue } from '../../../platform/observable-value.ts';
import type { AuthState } from '../../state/auth-state.ts';
import type { SpendHash } from '../check-password.ts';
import type { LoginDelays } from '../login-delays.ts';
import type { Users } from '../users-file.ts';
import type { LdapDirectory } from './ldap.ts';
import type { OidcDirectory } from './oidc.ts';
import type { SharedDirectoryLogins } from './share-directory-logins.ts';

export interface DirectoryLoginsOptions {
  readonly logins: readonly DirectoryLogin[];
  /** The file of the key that seals refresh tokens. */
  readonly keyFile: string;
  /** The origin that people open in a browser. */
  readonly url: URL;
  readonly users: ObservableValue<Users>;
  readonly state: AuthState;
  /** Reads the credentials and the groups anew, after somebody has logged in. */
  readonly refresh: () => Promise<void>;
  readonly delays: LoginDelays;
  /** Spends the time that a name of the users file takes. */
  readonly spendHash: SpendHash;
  readonly egress?: EgressOptions | undefined;
  /** The state that the nodes of a cluster share; absent without a cluster. */
  readonly shared?: SharedDirectoryLogins | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

/** An LDAP directory or an identity provider, and whether it has answered last time. */
export type OpenedDirectory =
  | { readonly login: LdapLogin; readonly ldap: LdapDirectory }
  | { readonly login: OidcLogin; readonly oidc: OidcDirectory };

/** Runs a question to a directory, and remembers whether it was answered. The log says it once. */
export type WatchedQuestion = <T>(login: string, task: () => Promise<T>) => Promise<T>;
