import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDigest } from '../../../src/registry/digest.ts';
import { Findings } from '../findings.ts';
import { PushOracle } from './oracle.ts';
import { Register } from './register.ts';

const A = digest('a');
const B = digest('b');

function digest(letter: string) {
  const parsed = parseDigest(`sha256:${letter.repeat(64)}`);
  assert.ok(parsed !== undefined);
  return parsed;
}

/** Returns a moment that is later than all before. */
function moment(): number {
  const now = performance.now();
  while (performance.now() === now);
  return performance.now();
}

test('a read may see a value until another write has certainly come after it', () => {
  const register = new Register<string | null>(null);
  const seen = (from: number) => [...register.possible(from, moment())].toSorted();
  const start = moment();
  const first = register.begin('a');
  assert.deepEqual(seen(moment()), ['a', null]);
  moment();
  first.done();
  assert.deepEqual(seen(moment()), ['a']);
  assert.deepEqual(seen(start), ['a', null]);
  moment();
  const lost = register.begin('b');
  lost.lost(Number.POSITIVE_INFINITY);
  register.begin('c').refused();
  assert.deepEqual(seen(moment()), ['a', 'b']);
  moment();
  register.begin(null, 'a').done();
  assert.deepEqual(seen(moment()), ['b', null]);
});

test('the oracle of the soak sees what must not be', () => {
  const kinds = (act: (oracle: PushOracle) => void) => {
    const findings = new Findings();
    act(new PushOracle(findings));
    return findings.anomalies;
  };
  const now = () => ({ from: moment(), until: moment() });
  const moved = (value: typeof A | null) => (oracle: PushOracle) => {
    oracle.tag('r', 't').begin(A).done();
    oracle.judgeTag('r', 't', value, now());
  };
  assert.deepEqual([kinds(moved(A)), kinds(moved(B)), kinds(moved(null))], [0, 1, 1]);
  const pushed = (isThere: boolean) => (oracle: PushOracle) => {
    oracle.content('r', A).begin(true).done();
    oracle.lease('r', A, now(), 60_000);
    oracle.judgePresence('r', A, isThere, now());
  };
  assert.deepEqual([kinds(pushed(true)), kinds(pushed(false))], [0, 1]);
  const deleted = (isThere: boolean) => (oracle: PushOracle) => {
    pushed(true)(oracle);
    const deletion = oracle.beginDelete('r', A);
    oracle.content('r', A).begin(false).done();
    deletion.done();
    oracle.judgePresence('r', A, isThere, now());
  };
  assert.deepEqual([kinds(deleted(true)), kinds(deleted(false))], [1, 0]);
  const torn = (oracle: PushOracle) => oracle.judgeMissing('r', B, A, moment());
  assert.equal(kinds(torn), 1);
});
