/** This worker counts parts of the audit log beside the main thread, reports the sums, and ends. */
import { parentPort, workerData } from 'node:worker_threads';
import { type CountJob, countParts } from './count-parts.ts';

parentPort?.postMessage(await countParts(workerData as CountJob));
