import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { parsePolicy } from '../../src/access/policy-file.ts';
import { formatFault } from '../../src/platform/fault.ts';
import { Random } from '../crash/support/random.ts';
import { FORMS } from './support/policy.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const NOW = Date.parse('2026-11-22T12:00:00Z');

const FILES = [
  'config/access.yaml',
  'test/access/fixtures/company.yaml',
  'test/access/fixtures/laboratory.yaml',
];
const POLICIES = FILES.map((file) => ({ file, bytes: readFileSync(path.join(ROOT, file)) }));

function parse(text: string) {
  return parsePolicy([{ source: 'access.yaml', label: 'access.yaml', text }], NOW, { forms: FORMS });
}

/** What a file that was read from a disk says; undefined where it is refused. */
function policyOf(bytes: Buffer): unknown {
  const parsed = parse(bytes.toString('utf8'));
  if ('faults' in parsed) return undefined;
  // The version is that of the text, not of what it says.
  const { groups, rules } = parsed.value.policy.data;
  return { groups, rules };
}

function refusalOf(text: string): string {
  const parsed = parse(text);
  return 'faults' in parsed ? parsed.faults.map(formatFault).join('\n') : 'accepted';
}

test('no beginning of a policy file is a policy, unless all but white space is there', () => {
  for (const { file, bytes } of POLICIES) {
    const whole = policyOf(bytes);
    assert.ok(whole, file);
    for (let length = 0; length < bytes.length; length++) {
      const found = policyOf(bytes.subarray(0, length));
      if (bytes.subarray(length).toString().trim() === '') assert.deepEqual(found, whole, file);
      else assert.equal(found, undefined, `the first ${length} bytes of ${file}`);
    }
  }
});

/** What a layer is, and what the same disk is full of. */
const LAYER = gzipSync(readFileSync(path.join(ROOT, 'package-lock.json')));

type Damage = (bytes: Buffer, random: Random) => Buffer;

/** `with what` over a span of `bytes`, which stay as many. */
function overwrite(bytes: Buffer, at: number, what: Buffer): Buffer {
  const result = Buffer.from(bytes);
  what.copy(result, at);
  return result;
}

const DAMAGES: Readonly<Record<string, Damage>> = {
  'a span of random bytes': (bytes, random) =>
    overwrite(bytes, random.below(bytes.length - 16), random.bytes(random.size(16, 512))),
  'a span of zeros': (bytes, random) =>
    overwrite(bytes, random.below(bytes.length - 16), Buffer.alloc(random.size(16, 512))),
  'the end cut': (bytes, random) => bytes.subarray(0, bytes.length - random.size(1, bytes.length)),
  'a block lost with all that follows it': (bytes, random) => {
    const block = 64 * 2 ** random.below(4);
    return bytes.subarray(0, block * random.below(Math.ceil(bytes.length / block)));
  },
  'a block of another file': (bytes, random) => {
    const block = 64 * 2 ** random.below(4);
    const at = block * random.below(Math.ceil(bytes.length / block));
    const from = random.below(LAYER.length - block);
    return overwrite(bytes, at, LAYER.subarray(from, from + block));
  },
};

test('no policy file that a disk or a writer has damaged says anything else than it said', () => {
  const random = new Random(20261122);
  const wholes = POLICIES.map(({ bytes }) => policyOf(bytes));
  let refused = 0;
  for (let index = 0; index < 500; index++) {
    const [kind = '', damage] = random.pick(Object.entries(DAMAGES));
    const which = random.below(POLICIES.length);
    const { file, bytes } = POLICIES[which] ?? { file: '', bytes: Buffer.alloc(0) };
    const found = policyOf(damage?.(bytes, random) ?? bytes);
    if (found === undefined) refused++;
    else assert.deepEqual(found, wholes[which], `${kind}, number ${index}, in ${file}`);
  }
  // The end cut by its last line break alone is not damaged.
  assert.ok(refused >= 450, `${refused} refused`);
});

test('what no policy needs and what harms the parser is refused before it or by it', () => {
  const allow = 'allow: [{ pull: everything, to: authenticated }]';
  const whole = `version: 1\n${allow}\n...\n`;
  const nested = (depth: number) => `version: 1\ntests: ${'['.repeat(depth)}${']'.repeat(depth)}\n...\n`;
  const padding = (size: number) => `# ${'x'.repeat(size - whole.length - 3)}\n${whole}`;
  const MIB = 1024 * 1024;
  assert.equal(padding(MIB + 1).length, MIB + 1);

  assert.equal(refusalOf(whole), 'accepted');
  assert.equal(refusalOf(padding(MIB)), 'accepted');
  assert.match(refusalOf(padding(MIB + 1)), /larger than 1 MiB/);
  assert.doesNotMatch(refusalOf(nested(32)), /nested deeper/);
  assert.match(refusalOf(nested(33)), /nested deeper than 32 levels/);
  assert.match(refusalOf(whole.replace('everything', '*base')), /alias/);
  assert.match(refusalOf(whole.replace('everything', '&base everything')), /anchor/);
  assert.match(refusalOf(whole.replace('everything', '!base everything')), /tag/);
  assert.match(refusalOf(whole.replace('everything', 'every\0thing')), /control character/);
});

test('the text of 1 KB that ends the process inside of the parser does not reach it, however often it is read', () => {
  // yaml 2.9.1 aborts on the second parse in one process; a file that stays wrong is read again and again.
  // What closes in a text or a comment closes nothing.
  for (const opening of ['[', '{a: ', '[{a: ', '- ', '? ', '- [', '["]",', '[ # ]\n', "[']',"]) {
    for (let time = 0; time < 10; time++)
      assert.match(refusalOf(`${opening.repeat(1000)}\n...\n`), /nested deeper/, opening);
  }
});
