import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { addSpent, type CountedField, type Sums } from '../../src/commands/budget/count-parts.ts';
import { spentPulls } from '../../src/commands/budget/spent-pulls.ts';
import { isAuditCount, parseAuditLine } from '../../src/protocol/audit-line.ts';

const MINUTE = 60_000;
const BEGIN = Date.parse('2026-11-22T10:00:00.000Z');
const FIELDS: readonly CountedField[] = ['subject', 'repository', 'rule', 'address', 'account'];

let directory: string;

before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-spent-'));
});

after(() => rm(directory, { recursive: true }));

/** Text that looks like the keys of a line, or that JSON escapes, or of several bytes in a character. */
const text = fc.oneof(
  fc.constantFrom('"countedPulls":7', '"limit":"ci"', '\\"limit":"', 'tab\there', 'line\nend', '\u2028', ''),
  fc.string({ unit: fc.constantFrom('a', 'é', '漢', '😀', '"', '\\', ':', '{', '}', ',', '\u0000') }),
);

const pulls = fc.constantFrom(undefined, 0, 1, 2, 10, -1, 0.5, 1e21, '3', null);

const fields = fc.record({
  time: fc.nat(5).map((minutes) => new Date(BEGIN + minutes * MINUTE).toISOString()),
  action: fc.constantFrom('pull', 'pull', 'pull', 'tags', 'push', 'omitted', 'unheard-of'),
  subject: fc.constantFrom('user:ana', 'user:bo', 'user:é', 'anonymous'),
  address: fc.constantFrom('10.1.1.1', '::1'),
  repository: fc.option(fc.constantFrom('docker.io/library/nginx', 'docker.io/acme/pay'), { nil: undefined }),
  rule: fc.option(fc.constantFrom('base', 'pay'), { nil: undefined }),
  decision: fc.constantFrom('allow', 'deny'),
  status: fc.constantFrom(200, 429),
  countedPulls: pulls,
  account: fc.option(text, { nil: undefined }),
  limit: fc.option(text, { nil: undefined }),
  agent: text,
  since: fc.constant(new Date(BEGIN).toISOString()),
  count: fc.constant(3),
});

const whole = fields.map((one) => Buffer.from(JSON.stringify(one)));

/** A line that a crash has cut, or with other bytes than were written. */
const damaged = fc
  .tuple(whole, fc.nat(), fc.nat(40), fc.constantFrom('', '"', '}', '9', '\n', '\xff'))
  .map(([line, at, length, other]) => {
    const from = at % line.length;
    return Buffer.concat([
      line.subarray(0, from),
      Buffer.from(other, 'latin1'),
      line.subarray(from + length),
    ]);
  });

const line = fc.oneof({ weight: 4, arbitrary: whole }, damaged, fc.constant(Buffer.alloc(0)));

const NEWLINE = Buffer.from('\n');

/** The last line may lack its end. */
const log = fc.tuple(fc.array(line), fc.boolean()).map(([lines, hasEnd]) => {
  const bytes = Buffer.concat(lines.flatMap((one) => [one, NEWLINE]));
  return hasEnd ? bytes : bytes.subarray(0, -1);
});

/** Parses every line. */
function countedSlowly(bytes: Buffer, since: number, field: CountedField): Sums {
  const sums: Sums = new Map();
  for (const written of bytes.toString('utf8').split('\n')) {
    const read = parseAuditLine(written);
    if (read === undefined || isAuditCount(read) || Date.parse(read.time) < since) continue;
    const { countedPulls = 0, limit } = read;
    if (countedPulls === 0 && limit === undefined) continue;
    addSpent(sums, read[field] ?? '-', countedPulls, limit === undefined ? 0 : 1);
  }
  return sums;
}

const inOrder = (sums: Sums) => [...sums].toSorted(([one], [other]) => (one < other ? -1 : 1));

test('the count by search and by several threads is that of all lines, also of damaged ones', async () => {
  const file = path.join(directory, 'audit.log');
  const minutes = fc.integer({ min: -1, max: 6 });
  const property = fc.asyncProperty(
    ...([log, log, minutes, fc.constantFrom(...FIELDS), fc.integer({ min: 1, max: 4000 })] as const),
    async (earlier, later, minute, field, partSize) => {
      await writeFile(`${file}.1.gz`, gzipSync(earlier));
      await writeFile(file, later);
      const since = BEGIN + minute * MINUTE;
      const found = await spentPulls(file, since, field, { partSize });
      const bytes = Buffer.concat([earlier, Buffer.from('\n'), later]);
      assert.deepEqual(inOrder(found), inOrder(countedSlowly(bytes, since, field)));
    },
  );
  await fc.assert(property, { numRuns: 20 });
});

test('pieces that end within a line are put together', async () => {
  const file = path.join(directory, 'long.log');
  const common = { time: new Date(BEGIN).toISOString(), action: 'pull', subject: 'user:ana', address: '::1' };
  const lines = Array.from({ length: 5000 }, (_, index) => ({
    ...{ ...common, decision: 'allow', status: 200, countedPulls: 1, agent: 'x'.repeat(index % 997) },
  }));
  const longest = { ...lines[0], agent: 'y'.repeat(3 * 1024 * 1024) };
  await writeFile(file, [...lines, longest, ...lines].map((one) => `${JSON.stringify(one)}\n`).join(''));
  for (const partSize of [1024 * 1024, 1024 * 1024 * 1024]) {
    const found = await spentPulls(file, 0, 'subject', { partSize });
    assert.deepEqual([...found], [['user:ana', { pulls: 10_001, refused: 0 }]]);
  }
});
