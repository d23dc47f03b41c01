import { lstatSync } from 'node:fs';
import { z } from 'zod';
import { pathsIn } from '../config/home.ts';
import { printLine, type Terminal } from '../launch/terminal.ts';
import { askPeer, PeerFailed, parseAnswer } from '../platform/ipc/ask-peer.ts';
import { openSocketClient, PeerUnreachable } from '../platform/ipc/http-client.ts';
import { isPermissionDenied, systemFailure } from '../platform/reason.ts';

export interface CoreCommandOptions {
  readonly home: string;
  readonly json: boolean;
}

interface CoreQuestion<Schema extends z.ZodType> {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: object;
  readonly schema: Schema;
  /** A time-out in milliseconds, if the usual one is too short. */
  readonly deadline?: number;
}

/**
 * The time-out in milliseconds. It is longer than the core takes for a question to an upstream that hangs.
 */
const DEADLINE = 20_000;

const UNAVAILABLE = 503;
const ERROR_BODY = z.object({ errors: z.tuple([z.object({ message: z.string() })]) });

type RoleAnswer<Schema extends z.ZodType> = { readonly answer: z.output<Schema> } | 'none' | 'silent';

/**
 * Asks the running core of a home. Returns `none` if the core does not know what the question is about.
 * Returns `silent` if no core runs, or if the core cannot answer now, after printing which of these it is.
 */
export async function askCore<Schema extends z.ZodType>(
  { home }: CoreCommandOptions,
  question: CoreQuestion<Schema>,
  { stderr }: Terminal,
): Promise<RoleAnswer<Schema>> {
  const { coreSocket } = pathsIn(home);
  let said: RoleAnswer<Schema>;
  try {
    said = await askRole(coreSocket, question);
  } catch (error) {
    const why = whyUnavailable(error);
    if (why === undefined) throw error;
    printLine(stderr, `hubgate: ${why}`);
    return 'silent';
  }
  if (said === 'silent') printLine(stderr, `hubgate: no core runs here: nothing answers on ${coreSocket}`);
  return said;
}

/** Returns why a role can answer only later, for example because a database is away. */
function whyUnavailable(error: unknown): string | undefined {
  if (!(error instanceof PeerFailed) || error.answer?.statusCode !== UNAVAILABLE) return undefined;
  try {
    return ERROR_BODY.parse(JSON.parse(error.answer.text)).errors[0].message;
  } catch {
    return undefined;
  }
}

/** Asks the role that listens on `socket`. Returns `silent` if none does. */
export async function askRole<Schema extends z.ZodType>(
  socket: string,
  { method, path, body, schema, deadline = DEADLINE }: CoreQuestion<Schema>,
): Promise<RoleAnswer<Schema>> {
  // The client waits for a role that is just being started; a command has no reason to wait.
  if (!isThere(socket)) return 'silent';
  await using client = openSocketClient(socket);
  try {
    const sent = body === undefined ? {} : { body: JSON.stringify(body) };
    const answer = await askPeer(client, socket, { method, path, ...sent, deadline });
    return answer.statusCode === 404 ? 'none' : { answer: parseAnswer(socket, answer, schema) };
  } catch (error) {
    if (!(error instanceof PeerUnreachable)) throw error;
    // The role may be running, but this user may not ask it.
    const failure = systemFailure(error);
    if (failure !== undefined && isPermissionDenied(failure)) throw Object.assign(failure, { path: socket });
    return 'silent';
  }
}

/** @throws if this user may not see whether the socket exists */
function isThere(socket: string): boolean {
  return lstatSync(socket, { throwIfNoEntry: false }) !== undefined;
}
