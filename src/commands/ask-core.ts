import type { z } from 'zod';
import { openSocketClient, PeerUnreachable } from '../platform/http-client.ts';
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
}

/** Longer than the core takes for a question to an upstream that hangs. */
const DEADLINE = 20_000;

/**
 * Asks the running core of a home. `none`: it says that there is no such thing. `silent`: none runs, and that was said.
 */
export async function askCore<Schema extends z.ZodType>(
  { home }: CoreCommandOptions,
  { method, path, body, schema }: CoreQuestion<Schema>,
  { stderr }: Terminal,
): Promise<{ readonly answer: z.output<Schema> } | 'none' | 'silent'> {
  const { coreSocket } = pathsIn(home);
  await using client = openSocketClient(coreSocket);
  try {
    const sent = body === undefined ? {} : { body: JSON.stringify(body) };
    const response = await client.request({ method, path, ...sent, deadline: DEADLINE });
    if (response.statusCode === 200) return { answer: schema.parse(await response.body.json()) };
    await response.body.dump();
    if (response.statusCode === 404) return 'none';
    throw new Error(`the core answers ${response.statusCode}; its log says why`);
  } catch (error) {
    if (!(error instanceof PeerUnreachable)) throw error;
    printLine(stderr, `hubgate: no core runs here: nothing answers on ${coreSocket}`);
    return 'silent';
  }
}
