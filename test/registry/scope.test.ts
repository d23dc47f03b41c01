import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatScope, parseScope } from '../../src/registry/scope.ts';

test('a scope has the known actions, each once, and * means all of them', () => {
  const rows: [text: string, formatted: string][] = [
    ['repository:library/alpine:pull', 'repository:library/alpine:pull'],
    ['repository:host:5000/x:push,pull,pull', 'repository:host:5000/x:pull,push'],
    ['repository:x:*', 'repository:x:pull,push,delete'],
    ['repository:x:pull,mount', 'repository:x:pull'],
  ];
  for (const [text, formatted] of rows) {
    const scope = parseScope(text);
    assert.equal(scope && formatScope(scope), formatted);
  }
  assert.deepEqual(parseScope('repository:x:mount')?.actions, []);
  for (const text of ['', 'repository', 'repository::pull', 'repository:x:', ':x:pull'])
    assert.equal(parseScope(text), undefined, text);
});
