import { lstatSync } from 'node:fs';
import type { z } from 'zod';
import { askPeer, parseAnswer } from '../platform/ask-peer.ts';
import { openSocketClient, PeerUnreachable } from '../platform/http-client.ts';
import { isPermissionDenied, systemFailure } from '../platform/reason.ts';
import { pathsIn } from './home.ts';
import { printLine, type Terminal } from './terminal.ts';

export interface CoreCommandOptions {
  readonly home: string;
  readonly json: boolean;
}

interface CoreQuestion<Schema extends z.ZodType> {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: object;
  readonly schema: Schema;
  /** Milliseconds, where the usual ones are too few. */
  readonly deadline?: number;
}

/** Longer than the core takes for a question to an upstream that hangs. */
const DEADLINE = 20_000;

type Answered<Schema extends z.ZodType> = { readonly answer: z.output<Schema> } | 'none' | 'silent';

/**
 * Asks the running core of a home. `none`: it says that there is no such thing. `silent`: none runs, and that was said.
 */
export async function askCore<Schema extends z.ZodType>(
  { home }: CoreCommandOptions,
  question: CoreQuestion<Schema>,
  { stderr }: Terminal,
): Promise<Answered<Schema>> {
  const { coreSocket } = pathsIn(home);
  const said = await askRole(coreSocket, question);
  if (said === 'silent') printLine(stderr, `hubgate: no core runs here: nothing answers on ${coreSocket}`);
  return said;
}

/** Asks the role that listens on `socket`, if one does. */
export async function askRole<Schema extends z.ZodType>(
  socket: string,
  { method, path, body, schema, deadline = DEADLINE }: CoreQuestion<Schema>,
): Promise<Answered<Schema>> {
  // Whoever asks over it waits for one that is just being started; a command has no reason to.
  if (!isThere(socket)) return 'silent';
  await using client = openSocketClient(socket);
  try {
    const sent = body === undefined ? {} : { body: JSON.stringify(body) };
    const answer = await askPeer(client, socket, { method, path, ...sent, deadline });
    return answer.statusCode === 404 ? 'none' : { answer: parseAnswer(socket, answer, schema) };
  } catch (error) {
    if (!(error instanceof PeerUnreachable)) throw error;
    // The role may well run, but this user may not ask it.
    const failure = systemFailure(error);
    if (failure !== undefined && isPermissionDenied(failure)) throw Object.assign(failure, { path: socket });
    return 'silent';
  }
}

/** @throws if this user may not determine it. */
function isThere(socket: string): boolean {
  return lstatSync(socket, { throwIfNoEntry: false }) !== undefined;
}
