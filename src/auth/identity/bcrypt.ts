import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { BCRYPT_COST } from '../limits.ts';

/**
 * Matches a hash that `htpasswd -B` writes. Its cost must be within bounds too.
 */
const BCRYPT = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;

export function isBcryptHash(text: string): boolean {
  const cost = costOfBcrypt(text);
  return cost !== undefined && cost >= BCRYPT_COST.least && cost <= BCRYPT_COST.most;
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
