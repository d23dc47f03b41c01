/** Answers a machine that wants a token of its user, and the page on which its user approves it. */
import type { Context } from 'koa';
import {
  DEVICE_BEGIN,
  DEVICE_DECIDE,
  DEVICE_POLL,
  DEVICE_REVOKE,
  DEVICE_SHOW,
  type DeviceCodes,
  type DeviceRefusal,
  type DeviceToken,
  type ShownDevice,
} from '../../protocol/device-api.ts';
import { putPersonalToken, whyNoLabel, whyNoMoreTokens } from '../admin/personal-tokens.ts';
import { type DeviceGrant, formatUserCode } from '../identity/device-grant.ts';
import { identityOf, isOfPerson } from '../identity/directory/counted-people.ts';
import { isTokenSecret, parseServiceToken, tokenCredential } from '../identity/service-token.ts';
import type { ActiveSession } from '../identity/sessions.ts';
import { DEVICE_GRANT } from '../limits.ts';
import type { StoredDevice } from '../state/stored-device.ts';
import { type AccountRouteDependencies, ownerOfSession, refuseAccount, sessionOf } from './account.ts';
import { auditUser } from './audited.ts';
import { answerJson, readJson } from './request.ts';

export interface DeviceRouteDependencies extends AccountRouteDependencies {
  readonly devices: DeviceGrant;
  /** The page on which somebody types the code of a machine. */
  readonly verificationUrl: string;
}

export async function beginDevice(context: Context, dependencies: DeviceRouteDependencies): Promise<void> {
  const { machine: written, address } = await readJson(context, DEVICE_BEGIN);
  const machine = written.trim();
  const [wrong] = whyNoLabel(machine);
  if (wrong !== undefined)
    return refuseDevice(context, {
      error: 'invalid_request',
      error_description: `the name of the machine: ${wrong}`,
    });
  const waiting = await dependencies.devices.begin(machine, address);
  if (waiting === undefined) {
    dependencies.log.warn({ address }, 'a machine may not wait for its approval, because too many do');
    const words = 'too many machines wait for their approval; try again in some minutes';
    return refuseDevice(context, { error: 'temporarily_unavailable', error_description: words });
  }
  answerJson(context, {
    device_code: waiting.deviceCode,
    user_code: formatUserCode(waiting.userCode),
    verification_uri: dependencies.verificationUrl,
    expires_in: DEVICE_GRANT.lifetime / 1000,
    interval: DEVICE_GRANT.interval / 1000,
  } satisfies DeviceCodes);
}

/** Gives the token once, to the first poll after the approval. */
export async function pollDevice(context: Context, dependencies: DeviceRouteDependencies): Promise<void> {
  const { device_code: code } = await readJson(context, DEVICE_POLL);
  const poll = await dependencies.devices.poll(code);
  if (poll.kind !== 'approved') return refuseDevice(context, { error: ERRORS[poll.kind] });
  const { machine, decision } = poll;
  const owner = await ownerOfSession(decision, dependencies);
  // The user may have been disabled, or another one may have got the name since.
  if (owner === undefined || owner.isDisabled || (owner.id ?? null) !== decision.ownerId)
    return refuseDevice(context, { error: 'access_denied' });
  const { state, tokens, clock, log } = dependencies;
  const lifetime = Math.min(DEVICE_GRANT.tokenLifetime, tokens.longest);
  const made = { owner, terms: { lifetime, pull: null, from: null }, label: machine, now: clock() };
  const created = await putPersonalToken(state, made);
  // The user may have approved other machines since.
  if (created === undefined) return refuseDevice(context, { error: 'access_denied' });
  const { id, token, expiresAt: expires } = created;
  const { login } = decision;
  auditUser(context, { action: 'create-token', user: owner.name, login, token: id, label: machine });
  log.info({ user: owner.name, id, machine }, 'a machine has got the token that its user approved');
  answerJson(context, { token, id, user: owner.name, expires } satisfies DeviceToken);
}

/**
 * Revokes a personal token for whoever has it, because its machine logs out. A token that an operator made
 * stays, because a program uses it elsewhere. Nobody learns here whether there was such a token.
 */
export async function revokeDevice(context: Context, dependencies: DeviceRouteDependencies): Promise<void> {
  const { token: text } = await readJson(context, DEVICE_REVOKE);
  const { state, log } = dependencies;
  const presented = parseServiceToken(text);
  const stored = presented && (await state.token(presented.id));
  if (presented && stored && stored.label !== null && isTokenSecret(presented.secret, stored.hash)) {
    await state.removeToken(stored.id);
    const { owner: user, id: revoked, label } = stored;
    const login = isOfPerson(stored) ? identityOf(stored).login : null;
    const credential = tokenCredential(revoked);
    auditUser(context, { action: 'revoke-token', user, login, credential, token: revoked, label });
    log.info({ user: stored.owner, id: stored.id }, 'a machine has logged out, and its token is revoked');
  }
  answerJson(context, { done: true });
}

export async function showDevice(context: Context, dependencies: DeviceRouteDependencies): Promise<void> {
  const { session, user_code: code } = await readJson(context, DEVICE_SHOW);
  const active = await dependencies.sessions.find(session);
  if (active === undefined) return refuseAccount(context, { error: 'NO_SESSION' });
  const device = await deviceOf(context, code, active, dependencies);
  if (device === undefined) return;
  const { userCode, machine, address, createdAt, expiresAt } = device;
  answerJson(context, {
    ...{ user_code: formatUserCode(userCode), machine, address, createdAt, expiresAt },
  } satisfies ShownDevice);
}

export async function decideDevice(context: Context, dependencies: DeviceRouteDependencies): Promise<void> {
  const request = await readJson(context, DEVICE_DECIDE);
  const active = await sessionOf(context, request, dependencies);
  if (active === undefined) return;
  const owner = await ownerOfSession(active, dependencies);
  if (owner === undefined) return refuseAccount(context, { error: 'NO_SESSION' });
  const device = await deviceOf(context, request.user_code, active, dependencies);
  if (device === undefined) return;
  const { state, devices, log } = dependencies;
  const { user, login } = active;
  const reasons = request.approve ? await whyNoMoreTokens({ state, owner }) : [];
  if (reasons.length > 0) return refuseAccount(context, { error: 'WRONG', reasons });
  const decision = { user, login, ownerId: owner.id ?? null, isApproved: request.approve };
  if (!(await devices.decide(device, decision))) return refuseAccount(context, UNKNOWN);
  const { machine, address } = device;
  const action = request.approve ? 'approve-machine' : 'refuse-machine';
  auditUser(context, { action, user, login, credential: active.credential, label: machine });
  log.info({ user, machine, address }, `a user has ${request.approve ? 'approved' : 'refused'} a machine`);
  answerJson(context, { done: true });
}

const ERRORS = {
  pending: 'authorization_pending',
  'slow-down': 'slow_down',
  expired: 'expired_token',
  refused: 'access_denied',
} as const;

const UNKNOWN = {
  error: 'WRONG',
  reasons: ['no machine waits with this code; compare it with the one that the machine shows'],
} as const;

/** Returns the machine that waits with this code. It answers if there is none. */
async function deviceOf(
  context: Context,
  code: string,
  { user, login }: Pick<ActiveSession, 'user' | 'login'>,
  { devices, log }: DeviceRouteDependencies,
): Promise<StoredDevice | undefined> {
  const found = await devices.find(code, `${login ?? ''}/${user}`);
  if (typeof found !== 'string') return found;
  if (found === 'guessed') {
    log.warn({ user }, 'a user has typed too many codes of machines that do not exist');
    const reasons = ['you have typed too many codes that no machine shows; wait for ten minutes'];
    refuseAccount(context, { error: 'WRONG', reasons });
  } else refuseAccount(context, UNKNOWN);
  return undefined;
}

function refuseDevice(context: Context, refusal: DeviceRefusal): void {
  context.status = 400;
  answerJson(context, refusal);
}
