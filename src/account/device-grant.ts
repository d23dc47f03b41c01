/**
 * Answers a machine that has no browser and no session: the device grant of RFC 8628, in its own forms and
 * errors, and the program that asks for it. The machine presents no cookie, so nothing here depends on who
 * has logged in.
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { DONE } from '../protocol/account-api.ts';
import { DEVICE_CODES, DEVICE_REFUSAL, DEVICE_TOKEN, type DeviceRefusal } from '../protocol/device-api.ts';
import type { AccountRequest } from './account-request.ts';
import type { AccountAnswer } from './answer.ts';
import type { AccountAuthClient } from './auth-client.ts';

const GRANT = 'urn:ietf:params:oauth:grant-type:device_code';

/** The credential helper. It is at this place in a checkout and in the npm package. */
const PROGRAM = path.join(import.meta.dirname, '../../bin/docker-credential-hubgate.cjs');

type Machine = (request: AccountRequest, auth: AccountAuthClient) => Promise<AccountAnswer>;

const MACHINE: Readonly<Record<string, Machine>> = {
  'GET /account/docker-credential-hubgate': async () => ({
    ...{ status: 200, type: 'text/javascript; charset=utf-8' },
    body: await readFile(PROGRAM, 'utf8'),
  }),
  'POST /account/device': begin,
  'POST /account/device/token': poll,
  'POST /account/device/revoke': revoke,
};

/** Returns the answer for a machine, if the request is one of a machine. */
export function machineAnswer(
  key: string,
  request: AccountRequest,
  auth: AccountAuthClient,
): Promise<AccountAnswer> | undefined {
  if (!Object.hasOwn(MACHINE, key)) return undefined;
  // Only browsers send this header: a page must not make its readers wait for an approval.
  if (!key.startsWith('GET ') && request.headers['sec-fetch-site'] !== undefined)
    return Promise.resolve(json({ error: 'invalid_request', error_description: 'not from a browser' }, 403));
  return MACHINE[key]?.(request, auth);
}

async function begin({ form, address }: AccountRequest, auth: AccountAuthClient): Promise<AccountAnswer> {
  const asked = { machine: form.get('machine') ?? '', address };
  return answerOf(
    await auth.exchange('/device/begin', asked, { answer: DEVICE_CODES, refusal: DEVICE_REFUSAL }),
  );
}

async function poll({ form }: AccountRequest, auth: AccountAuthClient): Promise<AccountAnswer> {
  if (form.get('grant_type') !== GRANT) return json({ error: 'unsupported_grant_type' }, 400);
  const asked = { device_code: (form.get('device_code') ?? '').slice(0, 100) };
  return answerOf(
    await auth.exchange('/device/poll', asked, { answer: DEVICE_TOKEN, refusal: DEVICE_REFUSAL }),
  );
}

async function revoke({ form }: AccountRequest, auth: AccountAuthClient): Promise<AccountAnswer> {
  const asked = { token: (form.get('token') ?? '').slice(0, 200) };
  return answerOf(await auth.exchange('/device/revoke', asked, { answer: DONE, refusal: DEVICE_REFUSAL }));
}

function answerOf(answer: { readonly value: object } | { readonly refused: DeviceRefusal }): AccountAnswer {
  if ('value' in answer) return json(answer.value, 200);
  return json(answer.refused, answer.refused.error === 'temporarily_unavailable' ? 503 : 400);
}

function json(body: unknown, status: number): AccountAnswer {
  return { status, type: 'application/json', body: JSON.stringify(body) };
}
