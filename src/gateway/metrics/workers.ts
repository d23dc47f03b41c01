/**
 * Combines the metrics of all gateways of a mirror: the one that is scraped asks the others, and adds up
 * their snapshots. The successor of a gateway that died continues its counts, because Prometheus takes a
 * falling sum for a restart, and would then count the rest a second time.
 */
import { readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import Koa from 'koa';
import { z } from 'zod';
import { askPeer, parseAnswer } from '../../platform/ipc/ask-peer.ts';
import { type HttpClient, openSocketClient } from '../../platform/ipc/http-client.ts';
import { serveOnSocket } from '../../platform/ipc/unix-socket.ts';
import type { Logger } from '../../platform/log.ts';
import {
  countersOf,
  METRICS_SNAPSHOT,
  type Meters,
  type MetricsSnapshot,
  mergeSnapshots,
} from '../../platform/metrics.ts';
import { Deadline } from '../../platform/scheduling/deadline.ts';
import { SingleFlight } from '../../platform/scheduling/single-flight.ts';
import { METRICS_DEADLINES } from '../limits.ts';

/** The place of a worker among the workers of one start. */
export interface WorkerPlace {
  /** A number from 1 to `count`. A worker that replaces another one has its number. */
  readonly number: number;
  readonly count: number;
  /** The unique id of the start that all its workers share. */
  readonly start: string;
}

export interface WorkersOptions {
  readonly meters: Meters;
  readonly place: WorkerPlace;
  /** The directory of their sockets. */
  readonly directory: string;
  readonly log: Logger;
}

export interface Workers extends AsyncDisposable {
  /** Resolves to the snapshot of each worker. For one that does not answer, it is its last saved snapshot. */
  collect(): Promise<{ readonly snapshots: readonly MetricsSnapshot[]; readonly answering: number }>;
}

const PEER = 'another gateway';

const SAVED_COUNTERS = z.object({ start: z.string(), counted: METRICS_SNAPSHOT });

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
    // Pulls do not depend on the metrics.
    log.error({ err: error }, 'the metrics of the gateways cannot be added up');
  }
  const opened = stack.move();
  return {
    collect: async () => {
      const answers = await Promise.all([own(), ...others.map((other) => askOther(other, place))]);
      const snapshots = answers.map((answer) => ('saved' in answer ? answer.saved : answer.current));
      return { snapshots, answering: answers.filter((answer) => 'current' in answer).length };
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

interface Other {
  /** The path of the worker's files without their extension. */
  readonly file: string;
  readonly client: HttpClient;
}

type TakeSnapshot = () => Promise<{ readonly current: MetricsSnapshot }>;

/**
 * Returns a function that takes this worker's snapshot. It is saved before it is reported, so that it is
 * never less the next time.
 */
async function openOwn({ meters, place, directory, log }: WorkersOptions): Promise<TakeSnapshot> {
  const file = `${fileOf(directory, place.number)}.json`;
  const before = await readSaved(file, place);
  const taking = new SingleFlight<{ readonly current: MetricsSnapshot }>();
  const save = async (snapshot: MetricsSnapshot) => {
    try {
      const saved: z.output<typeof SAVED_COUNTERS> = { start: place.start, counted: countersOf(snapshot) };
      await writeFile(`${file}.new`, JSON.stringify(saved), { mode: 0o640 });
      // A power cut does not matter, because another start begins with nothing.
      await rename(`${file}.new`, file);
    } catch (error) {
      log.warn({ file, err: error }, 'the counters of a gateway cannot be saved');
    }
  };
  return () =>
    taking.run('own', async () => {
      const snapshot = await mergeSnapshots([before, await meters.snapshot()]);
      await save(snapshot);
      return { current: snapshot };
    });
}

async function serve(socket: string, own: TakeSnapshot): Promise<AsyncDisposable> {
  const app = new Koa();
  app.silent = true;
  app.use(async (context) => {
    if (context.path === '/metrics') context.body = (await own()).current;
  });
  return serveOnSocket(socket, app.callback());
}

async function askOther(
  { file, client }: Other,
  place: WorkerPlace,
): Promise<{ readonly current: MetricsSnapshot } | { readonly saved: MetricsSnapshot }> {
  using deadline = new Deadline(METRICS_DEADLINES.worker);
  const asking = async () => {
    const answer = await askPeer(client, PEER, {
      method: 'GET',
      path: '/metrics',
      deadline: METRICS_DEADLINES.worker,
    });
    return parseAnswer(PEER, answer, METRICS_SNAPSHOT);
  };
  try {
    return { current: await deadline.bound(asking()) };
  } catch {
    return { saved: await readSaved(`${file}.json`, place) };
  }
}

/** Resolves to nothing if there is no snapshot, or if it belongs to another start. */
async function readSaved(file: string, { start }: WorkerPlace): Promise<MetricsSnapshot> {
  try {
    const saved = SAVED_COUNTERS.parse(JSON.parse(await readFile(file, 'utf8')));
    return saved.start === start ? saved.counted : [];
  } catch {
    return [];
  }
}

function fileOf(directory: string, number: number): string {
  return path.join(directory, `gateway-${number}`);
}
