import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { openAuditedParts } from '../audited-parts.ts';
import { addSpent, type CountedField, type CountJob, countParts, type Sums } from './count-parts.ts';

const WORKER = new URL('./count-parts-worker.ts', import.meta.url);

/** The bytes of a part of the audit log. */
const PART = 16 * 1024 * 1024;

export interface CountOptions {
  /** The bytes of a part, which tests make small. */
  readonly partSize?: number;
}

/**
 * Adds up the pulls that counted since a time, which is in milliseconds, and those that were refused, by a
 * field of the audit log. With two parts or more a worker counts too.
 */
export async function spentPulls(
  file: string,
  since: number,
  field: CountedField,
  { partSize = PART }: CountOptions = {},
): Promise<Sums> {
  await using opened = await openAuditedParts(file, since, partSize);
  const { parts } = opened;
  const taken = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  const job = { parts, since, field, taken };
  const isWorth = parts.length > 1 && availableParallelism() > 1;
  // The files are closed when nobody reads them any more.
  const counted = await Promise.allSettled([countParts(job), ...(isWorth ? [countInWorker(job)] : [])]);
  const sums: Sums = new Map();
  for (const one of counted) {
    if (one.status === 'rejected') throw one.reason;
    for (const [name, { pulls, refused }] of one.value) addSpent(sums, name, pulls, refused);
  }
  return sums;
}

async function countInWorker(job: CountJob): Promise<Sums> {
  const worker = new Worker(WORKER, { workerData: job, env: {} });
  try {
    // This rejects with the error that the worker throws.
    const [sums] = (await once(worker, 'message')) as [Sums];
    return sums;
  } finally {
    await worker.terminate();
  }
}
