import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

/** What `htpasswd -B` writes, of a cost that does not hold up others for seconds: each step doubles it, 14 is a second or so. */
const BCRYPT = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;
const LEAST_COST = 4;
export const MOST_BCRYPT_COST = 14;

export function isBcryptHash(text: string): boolean {
  const cost = costOfBcrypt(text);
  return cost !== undefined && cost >= LEAST_COST && cost <= MOST_BCRYPT_COST;
}

/** Undefined for what is no bcrypt hash at all. */
export function costOfBcrypt(text: string): number | undefined {
  const cost = BCRYPT.exec(text)?.[1];
  return cost === undefined ? undefined : Number(cost);
}

const WORKER = new URL('./bcrypt-worker.ts', import.meta.url);

/**
 * In a thread of its own: on the event loop it would hold up what gateways ask, and on one of libuv's threads the file
 * system. It is done once or twice for each imported user, so the thread is not kept.
 */
export async function verifyBcrypt(hash: string, password: string): Promise<boolean> {
  const worker = new Worker(WORKER, { workerData: { hash, password }, env: {} });
  try {
    // Rejects with what the thread throws.
    const [fits] = await once(worker, 'message');
    return fits === true;
  } finally {
    await worker.terminate();
  }
}
