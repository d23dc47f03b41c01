import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Breaker } from '../../../src/core/upstream/breaker.ts';

test('a host is probed ever less often, and not any more when the core ends', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let probes = 0;
  const probe = async () => ++probes < 0;
  const limits = { breakAfter: 5, breakWithin: 10_000, probeAfter: 5, probeAtMost: 20 };
  const breaker = new Breaker({ limits, probe, onChange: () => {} });
  breaker.failed({ cause: 'timeout', detail: '' }, performance.now());
  for (const pause of [5, 10, 20, 20]) {
    const before = probes;
    t.mock.timers.tick(pause - 1);
    assert.equal(probes, before);
    t.mock.timers.tick(1);
    assert.equal(probes, before + 1, `after ${pause}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
  breaker[Symbol.dispose]();
  t.mock.timers.tick(60);
  assert.equal(probes, 4);
});

test('a failure counts neither where the host answered since it was asked, nor long after', () => {
  const limits = { breakAfter: 2, breakWithin: 0, probeAfter: 60_000, probeAtMost: 60_000 };
  using breaker = new Breaker({ limits, probe: async () => false, onChange: () => {} });
  const cause = () => breaker.trouble?.cause;
  const started = performance.now();
  for (let round = 0; round < 3; round++) breaker.failed({ cause: 'failed', detail: '' }, started);
  assert.equal(cause(), undefined, 'each is the only one within no time');
  breaker.succeeded();
  breaker.failed({ cause: 'timeout', detail: '' }, started - 1);
  assert.equal(cause(), undefined);
  breaker.failed({ cause: 'timeout', detail: '' }, performance.now());
  assert.equal(cause(), 'timeout');
});
