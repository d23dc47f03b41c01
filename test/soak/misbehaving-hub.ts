import { setTimeout as delay } from 'node:timers/promises';
import type { Random } from '../crash/support/random.ts';
import type { FakeHub, HubServer } from '../support/fake-hub.ts';
import type { Behaviour } from '../support/fault.ts';

const BETWEEN_FAULTS = 700;

const INVALID_TOKEN = 'Bearer realm="https://auth.invalid/token",service="registry",error="invalid_token"';

/** Plants one fault after the other, each for one request, until the signal. */
export async function misbehaveAtRandom(hub: FakeHub, random: Random, signal: AbortSignal): Promise<void> {
  const faults: readonly [HubServer, RegExp, () => Behaviour][] = [
    ['registry', /manifests/, () => ({ kind: 'reset', at: 0 })],
    ['registry', /./, () => ({ kind: 'status', status: 429, headers: { 'retry-after': '1' } })],
    ['registry', /./, () => ({ kind: 'status', status: 503 })],
    [
      'registry',
      /./,
      () => ({ kind: 'status', status: 401, headers: { 'www-authenticate': INVALID_TOKEN } }),
    ],
    ['token', /./, () => ({ kind: 'status', status: 500 })],
    ['token', /./, () => ({ kind: 'hang' })],
    ['cdn', /./, () => ({ kind: 'drop', at: random.below(100_000) })],
    ['cdn', /./, () => ({ kind: 'reset', at: random.below(100_000) })],
    ['cdn', /./, () => ({ kind: 'corrupt', at: random.below(10_000) })],
    ['cdn', /./, () => ({ kind: 'unsized' })],
    ['cdn', /./, () => ({ kind: 'drip', bytes: 20_000, every: 20 })],
  ];
  while (!signal.aborted) {
    await delay(random.below(2 * BETWEEN_FAULTS));
    hub.heal();
    const [server, match, behaviour] = random.pick(faults);
    hub.plant(server, match, behaviour(), 1);
    hub.log.length = 0;
  }
  hub.heal();
}
