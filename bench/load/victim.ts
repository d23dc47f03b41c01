import { Agent } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import { ask } from '../../test/support/http.ts';
import type { HubgateServer } from '../servers/hubgate.ts';

const CLIENTS = 4;
/** In milliseconds between two probes. */
const PROBE_EVERY = 50;

/** Who pulls cached content from a server, while others do something else there. */
export interface Victim {
  readonly server: HubgateServer;
  readonly paths: readonly string[];
  readonly authorization: string;
}

export async function victimOf(server: HubgateServer, paths: readonly string[]): Promise<Victim> {
  return { server, paths, authorization: (await server.authorization()) ?? '' };
}

/** In milliseconds. */
export interface MeasuredPulls {
  readonly times: readonly number[];
  readonly probe: number;
  readonly failures: number;
}

/** Pulls cached content with clients that read it, and probes the mirror meanwhile. */
export async function measurePulls(
  { server, paths, authorization }: Victim,
  seconds: number,
): Promise<MeasuredPulls> {
  const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS + 1, rejectUnauthorized: false });
  const get = async (path: string, headers: Record<string, string>) => {
    const begun = performance.now();
    const { status } = await ask({ tls: true, host: 'localhost', port: server.port, path, agent, headers });
    return { status, milliseconds: performance.now() - begun };
  };
  const end = performance.now() + seconds * 1000;
  const times: number[] = [];
  let failures = 0;
  const pull = async () => {
    for (let turn = 0; performance.now() < end; turn++) {
      const { status, milliseconds } = await get(paths[turn % paths.length] ?? '', { authorization });
      times.push(milliseconds);
      if (status !== 200) failures++;
    }
  };
  let probe = 0;
  const look = async () => {
    while (performance.now() < end) {
      probe = Math.max(probe, (await get('/healthz', {})).milliseconds);
      await delay(PROBE_EVERY);
    }
  };
  await Promise.all([look(), ...Array.from({ length: CLIENTS }, pull)]);
  agent.destroy();
  return { times, probe, failures };
}

/** The p99 is taken over all periods, because one period alone has only some twenty requests beyond it. */
export function p99Of(measured: readonly MeasuredPulls[]): number {
  const times = measured.flatMap((one) => one.times).sort((one, other) => one - other);
  return times[Math.floor(times.length * 0.99)] ?? Number.NaN;
}
