import assert from 'node:assert/strict';
import { test } from 'node:test';
import { faultsOf, warningsOf } from './support/policy.ts';

/** What is said of one rule. */
function saidOf(rule: string): string {
  return faultsOf(`version: 1\nallow:\n  - ${rule}\n...\n`).join('\n');
}

test('what YAML reads otherwise than its author is said with the text and a mend', () => {
  for (const [rule, said] of [
    [
      '{ pull: library/x, to: ana, because:"x" }',
      /access.yaml:3:\d+: "because:" and what follows it read as one key; put a space/,
    ],
    ['{ pull: **, to: ana }', /"\*\*" reads as a YAML alias; quote patterns that begin with \*/],
    ['{ pull: *, to: ana }', /quote|alias/],
    ['{ pull: !important, to: ana }', /"!important" reads as a YAML tag; quote what begins with !/],
    ['{ pull: library/x, to: @platform }', /"@platform" begins with "@"; write group:platform for a group/],
    ['{ pull: library/x, to: `ana` }', /"`" cannot begin a plain text in YAML; quote it/],
    ['{ pull: library/x, to: ana, private: yes }', /found "yes", expected true or false/],
    ['{ pull: library/x, to: 1234 }', /found 1234, expected a user.*; to mean a text, quote it: "1234"/],
    [
      '{ pull: library/x, to: ana, tags: [1.20] }',
      /found 1.2, expected a tag.*; to mean a text, quote it: "1.20"/,
    ],
    ['{ pull: library/x, to: true }', /found true, expected a user.*; to mean a text, quote it: "true"/],
    ['{ pull: library/x, to: }', /"to" of entry 1 of allow is missing|found nothing, expected a user/],
    ['{ pull: library/x, to: [] }', /expected at least one entry/],
    ['{ pull: library/x, to: ana, to: bo }', /this key stands here twice/],
  ] as const) {
    const faults = saidOf(rule);
    assert.match(faults, said, rule);
    assert.match(faults, /^access\.yaml:3:\d+: /, rule);
  }
});

test('a pattern that no legal name can match is an error with a mend', () => {
  for (const [pattern, said] of [
    ['library/alpine:3.20', /holds a tag; write pull: "library\/alpine", tags: "3.20"/],
    ['alpine:latest', /holds a tag; write pull: "alpine", tags: "latest"/],
    [`alpine@sha256:${'a'.repeat(64)}`, /holds a digest/],
    ['Acme/x', /names are in lower case; write "acme\/x"/],
    ['acme/-x', /can match no repository: letters and digits begin/],
    ['acme/x..y', /can match no repository/],
    ['acme/x-/y', /can match no repository/],
    ['acme/.*', /can match no repository: patterns are not regular expressions; write "acme\/\*\*"/],
    ['acme/(a|b)', /patterns are not regular expressions; wildcards are/],
    ['acme**', /is one segment, and so would mean official images only/],
    ['**-secret', /is one segment/],
    ['^acme/.+$', /patterns are not regular expressions; write "acme\/\*\*"/],
    ['acme/$USER', /names have no "\$".*; write "acme\/\$\{user\}"/],
    ['acme/${group}/x', /names have no "\$"/],
    [`acme/${'x'.repeat(250)}`, /can match no repository/],
  ] as const) {
    assert.match(saidOf(`{ pull: "${pattern}", to: ana }`), said, pattern);
  }
  for (const pattern of [
    'acme/x-*',
    'acme/*.x',
    '${user}/**',
    'acme/a__b',
    'acme/a--b',
    'localhost:5000/**',
    'a*',
  ])
    assert.equal(saidOf(`{ pull: "${pattern}", to: ana }`), '', pattern);
  assert.match(saidOf('{ pull: acme/x, to: ana, tags: "a/b" }'), /"a\/b" can match no tag/);
  assert.match(saidOf('{ pull: acme/x, to: ana, tags: "-x" }'), /can match no tag/);
});

test('a test names one subject and one image', () => {
  const said = (entry: string) => faultsOf(`version: 1\ntests:\n  - ${entry}\n...\n`).join('\n');
  assert.match(said('{ who: group:a, pull: x, expect: deny }'), /"group:a" is not one subject/);
  assert.match(said('{ who: authenticated, pull: x, expect: deny }'), /is not one subject/);
  assert.match(said('{ who: ana, pull: "x:", expect: deny }'), /is no repository, with a tag or without/);
  assert.match(
    said('{ who: ana, pull: x, expect: maybe }'),
    /found "maybe", expected allow, deny, public or private/,
  );
  assert.match(said('{ who: ana, pull: x, expect: deny, from: 10.0.0.0/8 }'), /expected an address/);
});

test('rules that can have no effect are warned of', () => {
  assert.deepEqual(
    warningsOf(`groups: { pay: [ana, jin], all: [ana, jin, bo] }
allow:
  - { id: over, pull: acme/x, to: ana, until: 2026-11-21 }
  - { id: last-day, pull: acme/x, to: ana, until: 2026-11-22 }
  - { id: shadowed, pull: acme/old/app-*, to: group:pay }
  - { id: half, pull: [acme/old/app, acme/new], to: ana }
  - { id: others, pull: acme/old/**, to: [ana, zoe] }
  - { id: wider, pull: acme/**, to: ana }
  - { id: own, pull: "acme/old/\${user}", to: ana }
  - { id: open, pull: acme/lab/x, to: anonymous, from: 10.1.0.0/16 }
  - { id: nets, pull: acme/net/x, to: ana, from: 10.1.0.0/16 }
  - { id: tagged, pull: acme/tag, to: ana, tags: [latest] }
  - { id: freed, pull: acme/frozen, to: ana }
deny:
  - { id: old, pull: acme/old/**, to: group:all }
  - { id: lab, pull: acme/lab/**, to: authenticated }
  - { id: net, pull: acme/net/**, to: authenticated, from: 10.1.0.0/16 }
  - { id: tag, pull: acme/tag, to: ana, tags: [latest] }
  - { id: frozen, pull: acme/frozen, to: ana, until: 2027-01-01 }`),
    [
      'access.yaml:4:5: the rule "over" has been over since its "until"; it can be removed',
      'access.yaml:6:5: the rule "shadowed" grants nothing: the deny "old" refuses everything that it allows',
      'access.yaml:10:5: the rule "own" grants nothing: the deny "old" refuses everything that it allows',
      'access.yaml:12:5: the rule "nets" grants nothing: the deny "net" refuses everything that it allows',
    ],
  );
});
