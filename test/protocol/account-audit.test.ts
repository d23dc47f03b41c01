import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatAccountDecision, parseAccountDecisions } from '../../src/protocol/account-audit.ts';

const LOGIN = { action: 'login', subject: 'user:ana', decision: 'allow' } as const;

function word(fields: unknown): string {
  return Buffer.from(JSON.stringify(fields)).toString('base64url');
}

test('a decision of a later version of auth is kept without the fields that are unknown', () => {
  const header = [word({ ...LOGIN, device: 'laptop', risk: 2 }), word({ ...LOGIN, risk: 1 })].join(', ');
  assert.deepEqual(parseAccountDecisions(header), {
    ...{ decisions: [LOGIN, LOGIN], unknownFields: ['device', 'risk'], unreadable: 0 },
  });
});

test('invariant 20: a decision that cannot be read does not cost the others, and is counted', () => {
  const wrong = ['%', word(null), word({ ...LOGIN, action: 'pull' }), word({ ...LOGIN, subject: undefined })];
  const { decisions, unreadable } = parseAccountDecisions([...wrong, formatAccountDecision(LOGIN)]);
  assert.deepEqual([decisions, unreadable], [[LOGIN], 4]);
  const many = parseAccountDecisions(
    Array.from({ length: 23 }, () => formatAccountDecision(LOGIN)).join(', '),
  );
  assert.deepEqual([many.decisions.length, many.unreadable], [20, 3]);
  assert.deepEqual(parseAccountDecisions(undefined).decisions, []);
});

test('a text that is too long for a header is shortened, so that its line is not lost', () => {
  const long = { ...LOGIN, label: 'x'.repeat(5000), restriction: 'pull '.repeat(1000) };
  const {
    decisions: [read],
    unreadable,
  } = parseAccountDecisions(formatAccountDecision(long));
  assert.deepEqual([unreadable, read?.label, read?.restriction?.length], [0, `${'x'.repeat(199)}…`, 500]);
});
