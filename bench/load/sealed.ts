import { fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import type { ReaderJob, ReaderResult } from './sealed-reader.ts';

/** Reads as a job says, in a process of its own, without decrypting the records. */
export async function readSealed(job: ReaderJob): Promise<ReaderResult> {
  const child = fork(path.join(import.meta.dirname, 'sealed-reader.ts'));
  const exited = once(child, 'exit');
  child.send(job);
  const [result] = await Promise.race([
    once(child, 'message') as Promise<[ReaderResult]>,
    exited.then(([code]) => Promise.reject(new Error(`the load generator ended with ${code}`))),
  ]);
  child.disconnect();
  await exited;
  return result;
}
