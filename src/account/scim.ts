/**
 * Passes on what identity providers send by SCIM. Auth compares the secret with the right one, which this
 * process does not know.
 */
import { SCIM_ANSWER, SCIM_PATH } from '../protocol/scim-api.ts';
import type { AccountRequest } from './account-request.ts';
import type { AccountAnswer } from './answer.ts';
import type { AccountAuthClient } from './auth-client.ts';

/** Resolves to undefined if no login has SCIM. */
export async function answerScim(
  { method, path, search, headers, text }: AccountRequest,
  auth: AccountAuthClient,
): Promise<AccountAnswer | undefined> {
  const [login = '', ...rest] = path.slice(SCIM_PATH.length).split('/');
  const answer = await auth.pass(
    '/scim',
    {
      ...{ login: login.slice(0, 100), method, path: `/${rest.join('/')}`.slice(0, 2_000) },
      ...{ query: search, authorization: headers.authorization?.slice(0, 2_000) ?? '', body: text },
    },
    SCIM_ANSWER,
  );
  return answer && { status: answer.status, type: 'application/scim+json', body: answer.body };
}
