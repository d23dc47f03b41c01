/** Answers what the account page asks for a login at an identity provider. */
import type { Context } from 'koa';
import type { Logger } from '../../platform/log.ts';
import type { AccountRefusal } from '../../protocol/account-api.ts';
import {
  type BegunLogin,
  type FinishedBrowserLogin,
  LOGIN_BEGIN,
  LOGIN_FINISH,
  LOGIN_LOGOUT,
  type LoginList,
} from '../../protocol/login-api.ts';
import type { BrowserLogins } from '../identity/directory/browser-logins.ts';
import { personCredential } from '../identity/directory/counted-people.ts';
import { DirectoryUnavailable } from '../identity/directory/directory.ts';
import type { Sessions } from '../identity/sessions.ts';
import { refuseAccount, unavailableDirectory } from './account.ts';
import { auditRefusal, auditUser } from './audited.ts';
import { answerJson, readJson } from './request.ts';

export interface BrowserLoginDependencies {
  /** Absent if no directory is configured. */
  readonly browsers: BrowserLogins | undefined;
  readonly sessions: Sessions;
  /** Counts a login by its result. */
  readonly counted: (outcome: 'right' | 'wrong' | 'unavailable') => void;
  readonly log: Logger;
}

export function listLogins(context: Context, { browsers }: BrowserLoginDependencies): void {
  answerJson(context, { logins: browsers?.names ?? [] } satisfies LoginList);
}

export async function beginLogin(context: Context, { browsers }: BrowserLoginDependencies): Promise<void> {
  const { login, returnTo } = await readJson(context, LOGIN_BEGIN);
  await answering(context, login, async () => {
    const begun = await browsers?.begin(login, returnTo);
    if (begun === undefined) return refuseAccount(context, wrong('there is no such login'));
    answerJson(context, begun satisfies BegunLogin);
  });
}

export async function finishLogin(context: Context, dependencies: BrowserLoginDependencies): Promise<void> {
  const { login, query, state, address } = await readJson(context, LOGIN_FINISH);
  const { browsers, sessions, counted, log } = dependencies;
  const isAnswered = await answering(context, login, async () => {
    const finished = await browsers?.finish(login, query, state);
    counted(finished?.kind === 'done' ? 'right' : 'wrong');
    if (finished?.kind !== 'done') {
      const words = finished?.words ?? 'there is no such login';
      auditRefusal(context, { action: 'login', login, reason: words });
      return refuseAccount(context, wrong(words));
    }
    const { person, returnTo } = finished;
    const { name: user } = person;
    const proved = { user, login, credential: personCredential(person) };
    const created = await sessions.create({ ...proved, sid: person.sid });
    auditUser(context, { action: 'login', ...proved });
    log.info({ user, login, address }, 'somebody has logged in to the account page');
    answerJson(context, { ...created, user, returnTo } satisfies FinishedBrowserLogin);
  });
  if (isAnswered) return;
  counted('unavailable');
  auditRefusal(context, { action: 'login', login, reason: 'the directory does not answer' });
}

export async function endLogins(context: Context, { browsers }: BrowserLoginDependencies): Promise<void> {
  const { login, logout_token: token } = await readJson(context, LOGIN_LOGOUT);
  const ended = await browsers?.logout(login, token);
  if (ended === undefined) {
    auditRefusal(context, { action: 'logout', login, reason: 'the logout token does not count' });
    return refuseAccount(context, wrong('the logout token does not count'));
  }
  for (const { name: user, isSuspended } of ended) {
    const reason = isSuspended ? 'logged out and suspended by the provider' : 'logged out by the provider';
    auditUser(context, { action: 'logout', user, login, reason });
  }
  answerJson(context, { done: true });
}

/** Resolves to false if the directory cannot be asked. */
async function answering(context: Context, login: string, task: () => Promise<void>): Promise<boolean> {
  try {
    await task();
    return true;
  } catch (error) {
    if (!(error instanceof DirectoryUnavailable)) throw error;
    refuseAccount(context, unavailableDirectory(login));
    return false;
  }
}

function wrong(reason: string): AccountRefusal {
  return { error: 'WRONG', reasons: [reason] };
}
