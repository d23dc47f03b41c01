/**
 * The device grant of RFC 8628: a machine that waits has two codes. It keeps the long one for itself, and
 * shows the short one to its user, who types it on a page where they are logged in.
 */
import { createHash, randomBytes, randomInt } from 'node:crypto';
import type { Clock } from '../../platform/clock.ts';
import { ExpiringCache } from '../../platform/expiring-cache.ts';
import { DEVICE_GRANT } from '../limits.ts';
import type { AuthState } from '../state/auth-state.ts';
import type { DeviceDecision, StoredDevice } from '../state/stored-device.ts';
import { loginNetwork, loginSite } from './login-network.ts';

/** Consonants that make no words and are not taken for another, as section 6.1 recommends. */
const LETTERS = 'BCDFGHJKLMNPQRSTVWXZ';
const CODE_LENGTH = 8;

export interface WaitingMachine {
  readonly deviceCode: string;
  readonly userCode: string;
}

export type DevicePoll =
  | { readonly kind: 'pending' | 'slow-down' | 'expired' | 'refused' }
  | { readonly kind: 'approved'; readonly machine: string; readonly decision: DeviceDecision };

export interface DeviceGrant {
  /** Resolves to undefined if too many machines wait already: in all, or from near that address. */
  begin(machine: string, address: string): Promise<WaitingMachine | undefined>;
  /** An approval and a refusal are given once, and then nobody knows the code any more. */
  poll(deviceCode: string): Promise<DevicePoll>;
  /**
   * Returns the machine that shows this code. `'guessed'` means that this user has typed too many codes that
   * nobody has.
   */
  find(userCode: string, user: string): Promise<StoredDevice | 'unknown' | 'guessed'>;
  /** Resolves to false if somebody has answered already. */
  decide(device: StoredDevice, decision: DeviceDecision): Promise<boolean>;
}

export interface DeviceGrantOptions {
  readonly state: Pick<
    AuthState,
    'devices' | 'device' | 'deviceOf' | 'putDevice' | 'decideDevice' | 'removeDevice'
  >;
  readonly clock: Clock;
}

export function createDeviceGrant({ state, clock }: DeviceGrantOptions): DeviceGrant {
  const polls = new ExpiringCache<{ at: number; interval: number }>(DEVICE_GRANT.waiting, clock);
  const guesses = new ExpiringCache<{ wrong: number }>(DEVICE_GRANT.maxGuessers, clock);
  /** A machine whose clock was ahead may not wait longer for that. */
  const isOver = ({ createdAt, expiresAt }: StoredDevice, now: number) =>
    expiresAt <= now || createdAt > now + DEVICE_GRANT.clockTolerance;

  const hasRoom = async (address: string) => {
    const now = clock();
    const all = await state.devices();
    const over = all.filter((device) => isOver(device, now));
    for (const { hash } of over) await state.removeDevice(hash);
    const waiting = all.filter((device) => !over.includes(device));
    const near = (prefixOf: (address: string) => string) => {
      const prefix = prefixOf(address);
      return waiting.filter((device) => prefixOf(device.address) === prefix).length;
    };
    return (
      waiting.length < DEVICE_GRANT.waiting &&
      near(loginNetwork) < DEVICE_GRANT.waitingEach &&
      near(loginSite) < DEVICE_GRANT.waitingOfSite
    );
  };

  /** A machine that polls too early has to wait longer each time, as section 3.5 says. */
  const isTooEarly = (hash: string): boolean => {
    const now = clock();
    const last = polls.get(hash);
    const early =
      last !== undefined && now - last.at < last.interval - DEVICE_GRANT.intervalTolerance && now >= last.at;
    const interval = (last?.interval ?? DEVICE_GRANT.interval) + (early ? DEVICE_GRANT.interval : 0);
    const longest = Math.min(interval, DEVICE_GRANT.longestInterval);
    polls.set(hash, { at: now, interval: longest }, DEVICE_GRANT.lifetime);
    return early;
  };

  return {
    async begin(machine, address) {
      if (!(await hasRoom(address))) return undefined;
      const deviceCode = randomBytes(32).toString('base64url');
      const userCode = await unusedCode(state);
      const createdAt = clock();
      const expiresAt = createdAt + DEVICE_GRANT.lifetime;
      const shown = { userCode, machine, address };
      await state.putDevice({
        hash: hashOfCode(deviceCode),
        ...shown,
        ...{ createdAt, expiresAt, decision: null },
      });
      return { deviceCode, userCode };
    },
    async poll(deviceCode) {
      const hash = hashOfCode(deviceCode);
      const device = await state.device(hash);
      if (device === undefined) return { kind: 'expired' };
      if (isOver(device, clock())) {
        await state.removeDevice(hash);
        return { kind: 'expired' };
      }
      if (isTooEarly(hash)) return { kind: 'slow-down' };
      const { machine, decision } = device;
      if (decision === null) return { kind: 'pending' };
      // Another poll at the same time may have removed it.
      if (!(await state.removeDevice(hash))) return { kind: 'expired' };
      return decision.isApproved ? { kind: 'approved', machine, decision } : { kind: 'refused' };
    },
    async find(userCode, user) {
      const before = guesses.get(user)?.wrong ?? 0;
      if (before >= DEVICE_GRANT.guesses) return 'guessed';
      const code = normalizedCode(userCode);
      const device = code === undefined ? undefined : await state.deviceOf(code);
      if (device !== undefined && device.decision === null && !isOver(device, clock())) return device;
      // Other guesses may have been counted while the state was asked.
      const wrong = (guesses.get(user)?.wrong ?? 0) + 1;
      guesses.set(user, { wrong }, DEVICE_GRANT.guessesForgottenAfter);
      return 'unknown';
    },
    decide: ({ hash }, decision) => state.decideDevice(hash, decision),
  };
}

async function unusedCode(state: Pick<AuthState, 'deviceOf'>): Promise<string> {
  for (;;) {
    const letters = Array.from({ length: CODE_LENGTH }, () => LETTERS[randomInt(LETTERS.length)]);
    const code = letters.join('');
    if ((await state.deviceOf(code)) === undefined) return code;
  }
}

function hashOfCode(deviceCode: string): string {
  return createHash('sha256').update(deviceCode).digest('hex');
}

/** Returns the code as it is shown: `WDJB-MJHT`. */
export function formatUserCode(code: string): string {
  return `${code.slice(0, CODE_LENGTH / 2)}-${code.slice(CODE_LENGTH / 2)}`;
}

/** Case, spaces and hyphens do not matter. Returns undefined if no machine can have such a code. */
function normalizedCode(text: string): string | undefined {
  const code = text.replaceAll(/[\s-]/g, '').toUpperCase();
  const isCode = code.length === CODE_LENGTH && [...code].every((letter) => LETTERS.includes(letter));
  return isCode ? code : undefined;
}
