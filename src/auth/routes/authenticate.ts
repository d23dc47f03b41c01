import type { Context } from 'koa';
import { formatSubject } from '../../access/subject.ts';
import { AUTHENTICATE, type SerializedIdentity } from '../../protocol/auth-api.ts';
import { answerJson, loginRefusalOf, RequestedLogin, readJson, refuseLogin } from './request.ts';
import type { TokenRouteDependencies } from './token.ts';

/** Says who has proved a login that came without a token. */
export async function answerAuthenticate(
  context: Context,
  { authenticate, issuer }: Pick<TokenRouteDependencies, 'authenticate' | 'issuer'>,
): Promise<void> {
  const { login, address, isStray } = await readJson(context, AUTHENTICATE);
  const verdict = await authenticate(login, address, new RequestedLogin(context.req, () => isStray));
  if (verdict.kind !== 'authenticated') return refuseLogin(context, loginRefusalOf(verdict, issuer.issuer));
  answerJson(context, {
    subject: formatSubject(verdict.subject),
    credential: verdict.credential,
  } satisfies SerializedIdentity);
}
