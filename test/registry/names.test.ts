import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAction } from '../../src/registry/action.ts';
import { isErrorName } from '../../src/registry/error.ts';

test('only names of the table are names: not those of properties that every object has', () => {
  assert.ok(isErrorName('DENIED'));
  assert.ok(isAction('push'));
  for (const text of ['toString', 'constructor', '__proto__', '', 'denied', 'length']) {
    assert.equal(isErrorName(text), false, text);
    assert.equal(isAction(text), false, text);
  }
});
