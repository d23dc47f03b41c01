/** This worker verifies one bcrypt hash, reports whether it matches, and ends. */
import { parentPort, workerData } from 'node:worker_threads';
import { compare } from 'bcryptjs';

const { hash, password } = workerData as { readonly hash: string; readonly password: string };
parentPort?.postMessage(await compare(password, hash));
