import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

/**
 * Matches a hash that `htpasswd -B` writes. The cost is bounded, so that a hash does not delay others for
 * seconds: each step doubles it, and 14 takes about a second.
 */
const BCRYPT = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;
const LEAST_COST = 4;
export const MOST_BCRYPT_COST = 14;

export function isBcryptHash(text: string): boolean {
  const cost = costOfBcrypt(text);
  return cost !== undefined && cost >= LEAST_COST && cost <= MOST_BCRYPT_COST;
}

/** Returns undefined if the text is not a bcrypt hash. */
export function costOfBcrypt(text: string): number | undefined {
  const cost = BCRYPT.exec(text)?.[1];
  return cost === undefined ? undefined : Number(cost);
}

const WORKER = new URL('./bcrypt-worker.ts', import.meta.url);

/**
 * Verifies a hash in a worker: on the event loop it would delay the requests of gateways, and on one of
 * libuv's threads the file system. This happens once or twice for each imported user, so the worker ends
 * after it.
 */
export async function verifyBcrypt(hash: string, password: string): Promise<boolean> {
  const worker = new Worker(WORKER, { workerData: { hash, password }, env: {} });
  try {
    // This rejects with the error that the worker throws.
    const [fits] = await once(worker, 'message');
    return fits === true;
  } finally {
    await worker.terminate();
  }
}
