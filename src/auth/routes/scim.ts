/** Answers what identity providers send by SCIM. */
import type { Context } from 'koa';
import { SCIM_REQUEST } from '../../protocol/scim-api.ts';
import type { AnswerScim } from '../identity/directory/scim.ts';
import { auditUser } from './audited.ts';
import { answerJson, readJson } from './request.ts';

export interface ScimDependencies {
  /** Absent if no login has SCIM. */
  readonly answer: AnswerScim | undefined;
}

export async function passScim(context: Context, { answer }: ScimDependencies): Promise<void> {
  const request = await readJson(context, SCIM_REQUEST);
  if (answer === undefined) {
    context.status = 404;
    return;
  }
  const { deactivated: user, ...answered } = await answer(request);
  const { login } = request;
  if (user !== undefined)
    auditUser(context, { action: 'logout', user, login, reason: 'deactivated by the provider' });
  answerJson(context, answered);
}
