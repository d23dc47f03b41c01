import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { returnMemory } from '../../src/launch/return-memory.ts';

test('returning memory collects garbage, and leaves no way to do so behind', async () => {
  const reference = new WeakRef({ unused: true });
  // An object lives at least until the end of the turn in which its reference was made.
  await turn();
  returnMemory();
  assert.equal(reference.deref(), undefined);
  assert.equal('gc' in globalThis, false);
});
