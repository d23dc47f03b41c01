import { DONE } from '../protocol/account-api.ts';
import { SHOWN_DEVICE } from '../protocol/device-api.ts';
import { csrfIn } from './account-request.ts';
import { type AccountAnswer, pageAnswer } from './answer.ts';
import { devicePage } from './pages/device.ts';
import { reasonsOf } from './reasons.ts';
import type { AccountDependencies, Visit } from './visit.ts';

/** The most characters of a code that auth looks at. */
const LONGEST_CODE = 100;

/** Shows the form for a code, or the machine that waits with it. */
export async function showDeviceApproval(
  { session, request, user }: Visit,
  { auth, mirror }: AccountDependencies,
): Promise<AccountAnswer> {
  const { host } = mirror;
  const code = (request.query.get('user_code') ?? '').slice(0, LONGEST_CODE);
  if (code === '') return pageAnswer(devicePage({ host, user }));
  const answer = await auth.ask('/device/show', { session, user_code: code }, SHOWN_DEVICE);
  return 'refused' in answer
    ? pageAnswer(devicePage({ host, user, code, reasons: reasonsOf(answer.refused) }), 400)
    : pageAnswer(devicePage({ host, user, device: answer.value }));
}

/** Only the button that says so approves. */
export async function decideDeviceApproval(
  { session, request, user }: Visit,
  { auth, mirror }: AccountDependencies,
): Promise<AccountAnswer> {
  const { form } = request;
  const { host } = mirror;
  const code = (form.get('user_code') ?? '').slice(0, LONGEST_CODE);
  const approve = form.get('decision') === 'approve';
  const decision = { session, csrf: csrfIn(request), user_code: code, approve };
  const answer = await auth.ask('/device/decide', decision, DONE);
  return 'refused' in answer
    ? pageAnswer(devicePage({ host, user, code, reasons: reasonsOf(answer.refused) }), 400)
    : pageAnswer(devicePage({ host, user, decided: approve ? 'approved' : 'refused' }));
}
