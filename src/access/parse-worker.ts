/** A thread that parses one policy, says what it is or what is wrong with it, and ends. */
import { parentPort, workerData } from 'node:worker_threads';
import { type PolicySource, parsePolicy } from './policy-file.ts';

const { sources, now } = workerData as { readonly sources: readonly PolicySource[]; readonly now: number };
const parsed = parsePolicy(sources, now);
parentPort?.postMessage('faults' in parsed ? parsed : { ...parsed, value: parsed.value.policy.data });
