import { ask } from '../test/support/http.ts';
import type { HubgateServer } from './servers/hubgate.ts';
import type { BenchServer } from './servers/server.ts';

const DELAY = /^hubgate_event_loop_delay_seconds\{([^}]*)\} (\S+)$/gm;

export interface LoopDelay {
  /** Milliseconds, of the role that was latest. */
  readonly p99: number;
  readonly max: number;
}

/**
 * How late Hubgate's event loops were since this was asked last, by its own metrics; undefined of other servers, and of a
 * Hubgate that does not show it.
 */
export async function takeLoopDelay(server: BenchServer): Promise<LoopDelay | undefined> {
  if (!('adminPort' in server)) return undefined;
  const { adminPort } = server as HubgateServer;
  const { body } = await ask({ host: '127.0.0.1', port: adminPort, path: '/metrics' });
  const delays = [...body.toString().matchAll(DELAY)];
  if (delays.length === 0) return undefined;
  const most = (statistic: string) =>
    delays
      .filter(([, labels]) => labels?.includes(`statistic="${statistic}"`))
      .reduce((latest, [, , seconds]) => Math.max(latest, Number(seconds) * 1000), 0);
  return { p99: most('p99'), max: most('max') };
}
