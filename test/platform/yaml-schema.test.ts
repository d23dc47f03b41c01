import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { formatFault, type Parsed } from '../../src/platform/fault.ts';
import { oneOrMany, openYaml, section } from '../../src/platform/yaml/yaml-schema.ts';

const SCHEMA = section({
  server: section({
    url: z.string('a URL').optional(),
    password: z.string('a text').optional(),
    port: z.int('a whole number'),
  }).optional(),
  rules: z.array(section({ to: oneOrMany(z.string('a subject')) }), 'a list of rules').optional(),
});

function readAs(text: string): Parsed<z.output<typeof SCHEMA> | undefined> {
  const opened = openYaml('f.yaml', text);
  return 'faults' in opened ? opened : opened.value.result(opened.value.read([], SCHEMA));
}

function faultsOf(text: string): string[] {
  const read = readAs(text);
  return 'faults' in read ? read.faults.map(formatFault) : [];
}

test('a fitting file becomes data, with one or many where either is allowed', () => {
  const read = readAs('rules:\n  - {to: ana}\n  - {to: [ana, jin]}\n');
  assert.deepEqual('value' in read && read.value, { rules: [{ to: ['ana'] }, { to: ['ana', 'jin'] }] });
  assert.deepEqual(readAs('# only a comment\n'), { value: {} });
});

test('everything wrong with a file is said at once, each with its place, what was found and what was expected', () => {
  const text = 'server: {url: 3, prt: 4}\nrules:\n  - {to: [ana, 3]}\n  - {to: 3}\n  - {}\n  - 5\n';
  assert.deepEqual(faultsOf(text), [
    'f.yaml:1:15: server.url: found 3, expected a URL; to mean a text, quote it: "3"',
    'f.yaml:1:18: unknown key "server.prt"; did you mean "port"?',
    'f.yaml:3:16: entry 2 of to of entry 1 of rules: found 3, expected a subject; to mean a text, quote it: "3"',
    'f.yaml:4:10: to of entry 2 of rules: found 3, expected a subject; to mean a text, quote it: "3"',
    'f.yaml:5:5: "to" of entry 3 of rules is missing; expected a subject',
    'f.yaml:6:5: entry 4 of rules: found 5, expected a map with the keys to',
  ]);
});

test('what a key for a secret holds is not shown', () => {
  assert.deepEqual(faultsOf('server: {port: 1, password: 12345678}'), [
    'f.yaml:1:29: server.password: found something else, expected a text',
  ]);
});

test('duplicate keys, aliases, anchors, tags and second documents are faults', () => {
  assert.deepEqual(faultsOf('server: {port: 1}\nserver: {port: 2}\n'), [
    'f.yaml:2:1: this key stands here twice, first at 1:1: "server"; rename one, or write what both hold under one',
  ]);
  assert.match(
    faultsOf('rules: [{to: *ana}]')[0] ?? '',
    /^f\.yaml:1:14: "\*ana" reads as a YAML alias; quote/,
  );
  assert.match(faultsOf('rules: [{to: &a ana}]')[0] ?? '', /^f\.yaml:1:17: "&a" reads as a YAML anchor/);
  assert.match(
    faultsOf('rules: [{to: !ana x}]')[0] ?? '',
    /^f\.yaml:1:19: "!ana" reads as a YAML tag; quote/,
  );
  assert.match(faultsOf('server: {port: 1}\n---\nrules: []\n')[0] ?? '', /second document/);
});

test('what reads as a key and cannot be meant as one is a fault, and shows nothing of a secret', () => {
  for (const text of ['? [a, b]\n: 1\n', 'rules: [{? {a: 1} : 2}]\n']) {
    assert.match(faultsOf(text)[0] ?? '', /cannot be a key/, text);
  }
  for (const text of ['server: {password:"s3cret"}', 'server: {password:s3cret}']) {
    assert.match(faultsOf(text)[0] ?? '', /^f\.yaml:1:10: "\w+:" and what follows it read as one key/, text);
    assert.doesNotMatch(faultsOf(text).join(), /s3cret/);
  }
  assert.deepEqual(faultsOf('localhost:5000:\n'), ['f.yaml:1:1: unknown key "…"; known here: server, rules']);
});

test('a text that is too large or too deep never reaches the parser, which some of them would kill', () => {
  assert.deepEqual(faultsOf('['.repeat(1000)), ['f.yaml:1:1: nested deeper than 32 levels']);
  assert.deepEqual(faultsOf(`a: 1\nb: ${'{a: '.repeat(40)}`), ['f.yaml:2:1: nested deeper than 32 levels']);
  assert.deepEqual(faultsOf('a: [\n'.repeat(40)), ['f.yaml:33:1: nested deeper than 32 levels']);
  assert.deepEqual(faultsOf(`${'- '.repeat(1000)}x`), ['f.yaml:1:1: nested deeper than 32 levels']);
  assert.deepEqual(faultsOf(`${' '.repeat(200)}a: 1`), ['f.yaml:1:1: nested deeper than 32 levels']);
  assert.deepEqual(faultsOf(`a: ${'x'.repeat(1024 * 1024)}`), ['f.yaml: the file is larger than 1 MiB']);
});
