/** Everything about logins of directories. It is loaded only if some are configured. */
import type { DirectoryLogin } from '../../../config/login.ts';
import type { Logger } from '../../../platform/log.ts';
import { runPeriodically } from '../../../platform/scheduling/periodic-task.ts';
import { CONFIRMATION } from '../../limits.ts';
import { type BrowserLogins, createBrowserLogins } from './browser-logins.ts';
import { confirmByLdap, confirmByOidc } from './confirm-people.ts';
import { localClaims } from './confirmation-claims.ts';
import type { ConfirmPeopleOptions } from './confirmation-round.ts';
import { DirectoryUnavailable } from './directory.ts';
import { createDirectoryPasswords, type DirectoryPasswords } from './directory-passwords.ts';
import { openLdapDirectory } from './ldap.ts';
import { openOidcDirectory } from './oidc.ts';
import type { DirectoryLoginsOptions, OpenedDirectory, WatchedQuestion } from './opened-directory.ts';
import { type AnswerScim, createScim } from './scim.ts';
import { openTextSeal } from './sealed-text.ts';
import { localLogouts } from './used-logouts.ts';

export interface DirectoryLogins extends AsyncDisposable {
  readonly passwords: DirectoryPasswords;
  readonly browsers: BrowserLogins;
  /** Absent if no login has SCIM. */
  readonly scim: AnswerScim | undefined;
  /** Tells of each login whether its directory answered the last question. */
  readonly isUp: ReadonlyMap<string, boolean>;
  /** Confirms everybody whose turn it is, now. */
  confirm(): Promise<void>;
}

export async function openDirectoryLogins(options: DirectoryLoginsOptions): Promise<DirectoryLogins> {
  const { logins, clock, log, egress, shared } = options;
  await using stack = new AsyncDisposableStack();
  const seal = await openTextSeal(options.keyFile, shared?.shareKey);
  const isUp = new Map(logins.map(({ name }) => [name, true]));
  const opened = logins.map(
    (login): OpenedDirectory =>
      login.kind === 'ldap'
        ? { login, ldap: openLdapDirectory({ login, clock, log }) }
        : { login, oidc: stack.use(openOidcDirectory({ login, egress, log })) },
  );
  const watched = watchDirectories(isUp, log);
  const claims = shared?.claims ?? localClaims();
  const all = { ...options, seal, claims, opened, watched };
  const confirm = (directory: OpenedDirectory) => runConfirmationRound(directory, all);
  for (const directory of opened)
    stack.use(runPeriodically(pauseOf(directory.login), () => confirm(directory), log));
  const passwords = createDirectoryPasswords(all);
  const browsers = createBrowserLogins({ ...all, logouts: shared?.logouts ?? localLogouts(clock) });
  const running = stack.move();
  return {
    passwords,
    browsers,
    scim: createScim(options),
    isUp,
    confirm: async () => {
      await Promise.all(opened.map(confirm));
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/**
 * Confirms everybody of a directory whose turn it is. Resolves to the milliseconds until the next round: a
 * directory that has not answered for everybody is asked sooner.
 */
export async function runConfirmationRound(
  directory: OpenedDirectory,
  options: ConfirmPeopleOptions & { readonly watched: WatchedQuestion },
): Promise<number> {
  const { watched, log } = options;
  const pause = pauseOf(directory.login);
  try {
    await watched(directory.login.name, () => confirmAll(directory, options));
    return pause;
  } catch (error) {
    if (!(error instanceof DirectoryUnavailable)) log.error({ err: error }, 'people cannot be confirmed');
    return Math.min(pause, CONFIRMATION.againAfter);
  }
}

function pauseOf({ confirm }: DirectoryLogin): number {
  return confirm * CONFIRMATION.every;
}

function confirmAll(directory: OpenedDirectory, options: ConfirmPeopleOptions): Promise<void> {
  return 'ldap' in directory
    ? confirmByLdap(directory.login, directory.ldap, options)
    : confirmByOidc(directory.login, directory.oidc, options);
}

function watchDirectories(isUp: Map<string, boolean>, log: Logger): WatchedQuestion {
  return async (login, task) => {
    try {
      const answer = await task();
      if (isUp.get(login) === false) log.info({ login }, 'the directory answers again');
      isUp.set(login, true);
      return answer;
    } catch (error) {
      if (!(error instanceof DirectoryUnavailable)) throw error;
      if (isUp.get(login) !== false)
        log.error({ login, reason: error.message }, 'the directory cannot be asked');
      isUp.set(login, false);
      throw error;
    }
  };
}
