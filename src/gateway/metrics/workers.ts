/**
 * The gateways of one mirror as one: whichever is asked asks the others, and adds up what they tell. What a gateway that
 * died had counted is carried on by the one in its place, because a sum that falls looks to Prometheus like a restart,
 * after which all that is left of it would be counted a second time.
 */
import { readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import Koa from 'koa';
import { z } from 'zod';
import { askPeer, parseAnswer } from '../../platform/ask-peer.ts';
import { Deadline } from '../../platform/deadline.ts';
import { type HttpClient, openSocketClient } from '../../platform/http-client.ts';
import type { Logger } from '../../platform/log.ts';
import {
  countersOf,
  type Meters,
  putTogether,
  TOLD_METRICS,
  type ToldMetrics,
} from '../../platform/metrics.ts';
import { SingleFlight } from '../../platform/single-flight.ts';
import { serveOnSocket } from '../../platform/unix-socket.ts';

/** Which of the workers of one start this is. */
export interface WorkerPlace {
  /** From 1 to `count`; one that is started in the place of another has its number. */
  readonly number: number;
  readonly count: number;
  /** The same for all workers of a start, and for no other start. */
  readonly start: string;
}

export interface WorkersOptions {
  readonly meters: Meters;
  readonly place: WorkerPlace;
  /** Where their sockets are. */
  readonly directory: string;
  readonly log: Logger;
}

export interface Workers extends AsyncDisposable {
  /** What each of them tells; of one that does not answer, what it had counted when it was last asked. */
  tell(): Promise<{ readonly told: readonly ToldMetrics[]; readonly answering: number }>;
}

/** Milliseconds, for another worker: less than a scrape may take, and it is on the same machine. */
const DEADLINE = 1_000;
const PEER = 'another gateway';

const KEPT = z.object({ start: z.string(), counted: TOLD_METRICS });

export async function openWorkers(options: WorkersOptions): Promise<Workers> {
  const { place, directory, log } = options;
  const own = await openOwn(options);
  await using stack = new AsyncDisposableStack();
  const others: Other[] = [];
  try {
    stack.use(await serve(`${fileOf(directory, place.number)}.sock`, own));
    for (let number = 1; number <= place.count; number++) {
      if (number === place.number) continue;
      const file = fileOf(directory, number);
      others.push({ file, client: stack.use(openSocketClient(`${file}.sock`)) });
    }
  } catch (error) {
    // Pulls do not depend on it.
    log.error({ error: (error as Error).message }, 'the metrics of the gateways cannot be added up');
  }
  const opened = stack.move();
  return {
    tell: async () => {
      const answers = await Promise.all([own(), ...others.map((other) => askOther(other, place))]);
      const told = answers.map((answer) => ('kept' in answer ? answer.kept : answer.told));
      return { told, answering: answers.filter((answer) => 'told' in answer).length };
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

interface Other {
  /** Without its ending. */
  readonly file: string;
  readonly client: HttpClient;
}

type TellOwn = () => Promise<{ readonly told: ToldMetrics }>;

/** What this worker tells is kept before it is told, so that it is never less the next time. */
async function openOwn({ meters, place, directory, log }: WorkersOptions): Promise<TellOwn> {
  const file = `${fileOf(directory, place.number)}.json`;
  const before = await readKept(file, place);
  const telling = new SingleFlight<{ readonly told: ToldMetrics }>();
  const keep = async (told: ToldMetrics) => {
    try {
      const kept: z.output<typeof KEPT> = { start: place.start, counted: countersOf(told) };
      await writeFile(`${file}.new`, JSON.stringify(kept), { mode: 0o640 });
      // No power cut matters: another start begins with nothing.
      await rename(`${file}.new`, file);
    } catch (error) {
      log.warn({ file, error: (error as Error).message }, 'what a gateway counted cannot be kept');
    }
  };
  return () =>
    telling.run('own', async () => {
      const told = await putTogether([before, await meters.tell()]);
      await keep(told);
      return { told };
    });
}

async function serve(socket: string, own: TellOwn): Promise<AsyncDisposable> {
  const app = new Koa();
  app.silent = true;
  app.use(async (context) => {
    if (context.path === '/metrics') context.body = (await own()).told;
  });
  return serveOnSocket(socket, app.callback());
}

async function askOther(
  { file, client }: Other,
  place: WorkerPlace,
): Promise<{ readonly told: ToldMetrics } | { readonly kept: ToldMetrics }> {
  using deadline = new Deadline(DEADLINE);
  const asking = async () => {
    const answer = await askPeer(client, PEER, { method: 'GET', path: '/metrics', deadline: DEADLINE });
    return parseAnswer(PEER, answer, TOLD_METRICS);
  };
  try {
    return { told: await deadline.bound(asking()) };
  } catch {
    return { kept: await readKept(`${file}.json`, place) };
  }
}

/** Nothing where there is nothing, or of another start. */
async function readKept(file: string, { start }: WorkerPlace): Promise<ToldMetrics> {
  try {
    const kept = KEPT.parse(JSON.parse(await readFile(file, 'utf8')));
    return kept.start === start ? kept.counted : [];
  } catch {
    return [];
  }
}

function fileOf(directory: string, number: number): string {
  return path.join(directory, `gateway-${number}`);
}
