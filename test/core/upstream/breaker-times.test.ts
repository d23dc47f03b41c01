import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Breaker, type BreakerOptions } from '../../../src/core/upstream/breaker.ts';

const LIMITS = { breakAfter: 2, breakWithin: 60_000, probeAfter: 60_000, probeAtMost: 60_000 };
const FAILED = { cause: 'failed', detail: '' } as const;
const TIMEOUT = { cause: 'timeout', detail: '' } as const;
/** Resolves once the breaker has processed the answer of a probe. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

/** A function, because what it says changes between two assertions. */
function causeOf(breaker: Breaker): string | undefined {
  return breaker.trouble?.cause;
}

function breakerWith(options: Partial<BreakerOptions>): Breaker {
  return new Breaker({ limits: LIMITS, probe: async () => true, onChange: () => {}, ...options });
}

test('a host is probed ever less often, and not any more when the core ends', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let probes = 0;
  const probe = async () => ++probes < 0;
  const breaker = breakerWith({
    limits: { breakAfter: 1, breakWithin: 10_000, probeAfter: 5, probeAtMost: 20 },
    probe,
  });
  breaker.failed({ trouble: FAILED, started: performance.now(), about: 'a' });
  for (const pause of [5, 10, 20, 20]) {
    const before = probes;
    t.mock.timers.tick(pause - 1);
    assert.equal(probes, before);
    t.mock.timers.tick(1);
    assert.equal(probes, before + 1, `after ${pause}`);
    await settled();
  }
  breaker[Symbol.dispose]();
  t.mock.timers.tick(60);
  assert.equal(probes, 4);
});

test('a failure counts neither where the host answered since it was asked, nor long after', () => {
  using breaker = breakerWith({ limits: { ...LIMITS, breakWithin: 0 } });
  const cause = () => breaker.trouble?.cause;
  const started = performance.now();
  for (const about of ['a', 'b', 'c']) breaker.failed({ trouble: FAILED, started, about });
  assert.equal(cause(), undefined, 'each is the only one within no time');
  breaker.succeeded();
  using other = breakerWith({});
  other.succeeded();
  for (const about of ['a', 'b', 'c']) other.failed({ trouble: FAILED, started, about });
  assert.equal(other.trouble, undefined, 'the host has answered since');
});

test('a host is left alone if it fails for different repositories, and not for one of them again and again', async () => {
  using breaker = breakerWith({});
  const fail = (about: string) => breaker.failed({ trouble: FAILED, started: performance.now(), about });
  for (let round = 0; round < 20; round++) {
    fail('broken');
    await settled();
    assert.equal(breaker.trouble, undefined, 'the host answers its probes');
  }
  using strict = breakerWith({ probe: async () => false });
  strict.failed({ trouble: FAILED, started: performance.now(), about: 'one' });
  assert.equal(causeOf(strict), undefined);
  strict.failed({ trouble: FAILED, started: performance.now(), about: 'another' });
  assert.equal(causeOf(strict), 'failed');
});

test('one time-out leaves no host alone that answers a probe, and one that does not at once', async () => {
  using well = breakerWith({});
  using ill = breakerWith({ probe: async () => false });
  for (const breaker of [well, ill])
    breaker.failed({ trouble: TIMEOUT, started: performance.now(), about: 'a' });
  assert.equal(causeOf(ill), undefined, 'it was not probed yet');
  await settled();
  assert.equal(causeOf(well), undefined);
  assert.equal(causeOf(ill), 'timeout');
});

test('many failures at once cause one probe', async () => {
  let probes = 0;
  const gate = Promise.withResolvers<boolean>();
  using breaker = breakerWith({
    probe: () => {
      probes++;
      return gate.promise;
    },
  });
  for (let round = 0; round < 20; round++)
    breaker.failed({ trouble: TIMEOUT, started: performance.now(), about: 'a' });
  assert.equal(probes, 1);
  gate.resolve(true);
  await settled();
});

test('after an answered probe failures of several repositories shut nothing for a while', async () => {
  using breaker = breakerWith({});
  const fail = (about: string) => breaker.failed({ trouble: FAILED, started: performance.now(), about });
  for (let round = 0; round < 2; round++) fail('broken');
  await settled();
  for (const about of ['a', 'b', 'c']) fail(about);
  assert.equal(breaker.trouble, undefined);
});

test('a host that answered while a probe was out is not left alone for what the probe says', async () => {
  const gate = Promise.withResolvers<boolean>();
  using breaker = breakerWith({ probe: () => gate.promise });
  breaker.failed({ trouble: TIMEOUT, started: performance.now(), about: 'a' });
  breaker.succeeded();
  gate.resolve(false);
  await settled();
  assert.equal(breaker.trouble, undefined);
});
