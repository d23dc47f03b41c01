import type { Context } from 'koa';
import { formatSubject } from '../../access/subject.ts';
import { AUTHENTICATE, type SerializedIdentity } from '../../protocol/auth-api.ts';
import { answerJson, RequestedLogin, readJson, refuseLogin } from './request.ts';
import type { TokenRouteDependencies } from './token.ts';

/** Says who has proved a login that came without a token. */
export async function answerAuthenticate(
  context: Context,
  { authenticate }: Pick<TokenRouteDependencies, 'authenticate'>,
): Promise<void> {
  const { login, address, isStray } = await readJson(context, AUTHENTICATE);
  const verdict = await authenticate(login, address, new RequestedLogin(context.req, () => isStray));
  if (verdict.kind !== 'authenticated')
    return refuseLogin(context, verdict.kind === 'busy' ? 'TOO_MANY_LOGINS' : 'BAD_CREDENTIALS');
  answerJson(context, {
    subject: formatSubject(verdict.subject),
    credential: verdict.credential,
  } satisfies SerializedIdentity);
}
