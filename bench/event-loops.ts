import { ask } from '../test/support/http.ts';
import type { HubgateServer } from './servers/hubgate.ts';
import type { BenchServer } from './servers/server.ts';

const DELAY = /^hubgate_event_loop_delay_seconds\{([^}]*)\} (\S+)$/gm;

export interface LoopDelay {
  /** In milliseconds, of the role with the greatest delay. */
  readonly p99: number;
  readonly max: number;
}

/** Returns how late the event loops of Hubgate's roles were since the last call, from its own metrics. */
export async function takeLoopDelays({ adminPort }: HubgateServer): Promise<Map<string, LoopDelay>> {
  const { body } = await ask({ host: '127.0.0.1', port: adminPort, path: '/metrics' });
  const delays = new Map<string, LoopDelay>();
  for (const [, labels = '', seconds] of body.toString().matchAll(DELAY)) {
    const [, role = ''] = /role="(\w+)"/.exec(labels) ?? [];
    const [, statistic = ''] = /statistic="(\w+)"/.exec(labels) ?? [];
    const known = delays.get(role) ?? { p99: Number.NaN, max: Number.NaN };
    delays.set(role, { ...known, [statistic]: Number(seconds) * 1000 });
  }
  return delays;
}

/**
 * Returns the delay of the role that was latest; undefined for other servers, and for a Hubgate that does not
 * report it.
 */
export async function takeLoopDelay(server: BenchServer): Promise<LoopDelay | undefined> {
  if (!('adminPort' in server)) return undefined;
  const delays = [...(await takeLoopDelays(server as HubgateServer)).values()];
  if (delays.length === 0) return undefined;
  const most = (statistic: keyof LoopDelay) => Math.max(...delays.map((delay) => delay[statistic]));
  return { p99: most('p99'), max: most('max') };
}
