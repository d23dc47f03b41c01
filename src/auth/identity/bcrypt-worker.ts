/** A thread that verifies one bcrypt hash, says whether it fits, and ends. */
import { parentPort, workerData } from 'node:worker_threads';
import { compare } from 'bcryptjs';

const { hash, password } = workerData as { readonly hash: string; readonly password: string };
parentPort?.postMessage(await compare(password, hash));
