import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Parsed } from '../platform/fault.ts';
import { runInSlices } from '../platform/steps.ts';
import { compilingPolicy, type Policy } from './policy.ts';
import type { PolicyData } from './policy-data.ts';
import { type PolicySource, parsePolicy } from './policy-file.ts';

/** Characters. What is shorter is read sooner than a thread has begun. */
const SHORT = 64 * 1024;

const WORKER = new URL('./parse-worker.ts', import.meta.url);

/** The policy in `sources`, as `parsePolicy` says; a long one in a thread of its own, for it takes a second or two. */
export async function parseApart(sources: readonly PolicySource[], now: number): Promise<Parsed<Policy>> {
  const length = sources.reduce((sum, { text }) => sum + text.length, 0);
  if (length <= SHORT) {
    const parsed = parsePolicy(sources, now);
    return 'faults' in parsed ? parsed : { ...parsed, value: parsed.value.policy };
  }
  const worker = new Worker(WORKER, { workerData: { sources, now }, env: {} });
  try {
    // Rejects with what the thread throws.
    const [parsed] = (await once(worker, 'message')) as [Parsed<PolicyData>];
    return 'faults' in parsed
      ? parsed
      : { ...parsed, value: await runInSlices(compilingPolicy(parsed.value)) };
  } finally {
    await worker.terminate();
  }
}
