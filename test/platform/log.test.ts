import assert from 'node:assert/strict';
import { test } from 'node:test';
import { writeText } from '../../src/platform/log.ts';

const write = (fields: object) =>
  writeText({ level: 40, time: '…', process: 'core', msg: 'it happened', ...fields }, 'msg');

test('a line for people has its fields in it, and lists and stacks below it', () => {
  assert.equal(write({}), 'core: it happened');
  assert.equal(
    write({ host: 'docker.io:443', pause: 100, known: null, detail: 'no answer' }),
    'core: it happened  host=docker.io:443 pause=100 known=null detail="no answer"',
  );
  assert.equal(write({ faults: ['a:1: x', 'b:2: y'] }), 'core: it happened\n    a:1: x\n    b:2: y');
  assert.equal(write({ error: 'Error: x\n    at y', role: 'core' }).split('\n').length, 3);
});

test('what others wrote is no command to a terminal', () => {
  const text = write({ a: '\x1b[2J', b: 'x\u009b2J', c: ['\x1b]0;title\x07'], d: 'x\ny\r\x7fz' });
  assert.doesNotMatch(text.replaceAll('\n', ''), /\p{Cc}/u);
  assert.match(text, /a="\\u001b\[2J" b="x\\u009b2J"/);
});
