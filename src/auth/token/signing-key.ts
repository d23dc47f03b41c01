import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { calculateJwkThumbprint, exportJWK, type JWK } from 'jose';
import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/log.ts';
import { MutableValue } from '../../platform/observable-value.ts';
import { messageOf } from '../../platform/reason.ts';
import { isAbsent, readRegularFile, whileAnswering } from '../../platform/regular-file.ts';
import { SLOW_INTERVAL, stateOfFile, type WatchedFile, watchFiles } from '../../platform/watched-files.ts';
import { KEY_OVERLAP } from '../limits.ts';
import { previousKeyFile } from './signing-key-file.ts';

export interface SigningKey {
  readonly id: string;
  readonly privateKey: KeyObject;
  /** The public half for verification. */
  readonly jwk: JWK;
  /** The encoded header of every token that this key signs. */
  readonly jwsHeader: string;
}

export interface SigningKeys {
  /** The key that signs tokens. */
  readonly signing: SigningKey;
  /**
   * The keys that verify tokens. The previous key is one of them as long as a token that it signed can live.
   */
  readonly verifying: readonly JWK[];
}

/** Counts how much longer the previous key is accepted. */
export class KeyOverlap {
  readonly #monotonic: Clock;
  #mtimeMs: number | undefined;
  #end = 0;

  constructor(monotonic: Clock = () => performance.now()) {
    this.#monotonic = monotonic;
  }

  /**
   * Returns the time left in milliseconds. It is counted from the modification time of the key's file. The
   * clock may have been ahead at that time, so the key does not count for longer than the overlap after this
   * process has first seen it, whatever the clock says.
   */
  left(mtimeMs: number, now: number): number {
    const left = Math.min(KEY_OVERLAP, mtimeMs + KEY_OVERLAP - now);
    const monotonic = this.#monotonic();
    if (mtimeMs !== this.#mtimeMs) this.#end = monotonic + left;
    this.#mtimeMs = mtimeMs;
    return Math.ceil(Math.min(left, this.#end - monotonic));
  }
}

/**
 * Subscribes to the keys in `file` and in the file of the previous key. A file without a valid key changes
 * nothing. Keys are replaced when somebody else may know one, so the previous key is dropped at its end, and
 * not only at the next start.
 * @throws if `file` contains no valid key now.
 */
export async function followSigningKeys(
  file: string,
  log: Logger,
  clock: Clock,
  overlap = new KeyOverlap(),
): Promise<WatchedFile<SigningKeys>> {
  const state = async () => (await Promise.all([file, previousKeyFile(file)].map(stateOfFile))).join(' ');
  const seen = await state();
  let ending: NodeJS.Timeout | undefined;
  const read = async () => {
    const { keys, endsIn } = await readKeys(file, (mtimeMs) => overlap.left(mtimeMs, clock()));
    clearTimeout(ending);
    if (endsIn !== undefined) ending = setTimeout(() => void watching.look(), endsIn).unref();
    return keys;
  };
  const load = async () => {
    try {
      const { id } = live.current.signing;
      live.set(await read());
      if (live.current.signing.id !== id) log.info({ kid: live.current.signing.id }, 'signing key changed');
    } catch (error) {
      log.error({ file, reason: messageOf(error) }, 'signing key refused; the last good one holds');
    }
  };
  const live = new MutableValue(await read());
  // Its directory is not watched: the audit log grows there all the time, and the key file is all that
  // matters here.
  const watching = watchFiles({ state, seen, load, directories: [file], interval: SLOW_INTERVAL, log });
  return {
    get current() {
      return live.current;
    },
    changed: () => live.changed(),
    look: () => watching.look(),
    [Symbol.dispose]: () => {
      clearTimeout(ending);
      watching[Symbol.dispose]();
    },
  };
}

/** `endsIn` is the milliseconds until the previous key is dropped, if there is one. */
async function readKeys(
  file: string,
  left: (mtimeMs: number) => number,
): Promise<{ keys: SigningKeys; endsIn?: number }> {
  const signing = await readSigningKey(file);
  const previousFile = previousKeyFile(file);
  const stats = await whileAnswering(previousFile, () => stat(previousFile)).catch(async (error: Error) => {
    if (!(await isAbsent(previousFile, error))) throw error;
    return undefined;
  });
  const endsIn = stats === undefined ? 0 : left(stats.mtimeMs);
  if (endsIn <= 0) return { keys: { signing, verifying: [signing.jwk] } };
  const previous = await readSigningKey(previousFile);
  return { keys: { signing, verifying: [signing.jwk, previous.jwk] }, endsIn };
}

/**
 * Reads a key. Its id is its thumbprint (RFC 7638), so that the id need not be stored and no two keys share
 * one.
 */
async function readSigningKey(file: string): Promise<SigningKey> {
  const privateKey = createPrivateKey(await readRegularFile(file));
  if (privateKey.asymmetricKeyDetails?.namedCurve !== 'prime256v1')
    throw new Error(`${file} is no P-256 key`);
  const jwk = await exportJWK(createPublicKey(privateKey));
  const id = await calculateJwkThumbprint(jwk);
  const header = JSON.stringify({ alg: 'ES256', typ: 'JWT', kid: id });
  return {
    ...{ id, privateKey, jwk: { ...jwk, kid: id, alg: 'ES256', use: 'sig' } },
    jwsHeader: Buffer.from(header).toString('base64url'),
  };
}
