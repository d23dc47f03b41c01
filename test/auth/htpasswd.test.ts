import assert from 'node:assert/strict';
import { test } from 'node:test';
import bcrypt from 'bcryptjs';
import { parseHtpasswd } from '../../src/auth/identity/htpasswd.ts';
import { formatFault } from '../../src/platform/fault.ts';

const HASH = bcrypt.hashSync('right', 4).replace('$2b', '$2y');

test('bcrypt lines are users, and comments and empty lines are none', () => {
  assert.deepEqual(parseHtpasswd('htpasswd', `# ours\n\nana:${HASH}\r\n  \njin:${HASH}`), {
    value: [
      { name: 'ana', hash: HASH, line: 3 },
      { name: 'jin', hash: HASH, line: 5 },
    ],
  });
});

test('blanks around a line and a byte order mark are no part of it, and names are as directories write them', () => {
  const names = ['Ana', 'CORP\\ana', 'ci+bot@corp.example', 'robot$proj+ci', '_json_key', 'HOST$'];
  const text = `\uFEFF${names.map((name) => `  ${name}:${HASH} \t\r`).join('\n')}`;
  const { value, faults } = parseHtpasswd('htpasswd', text);
  assert.deepEqual([value.map(({ name }) => name), faults], [names, undefined]);
  assert.ok(value.every(({ hash }) => hash === HASH));
});

test('what is no bcrypt, of too high a cost, not whole, twice there or no name is said by its line, without hashes', () => {
  const lines = [
    'md:$apr1$abc$SECRETHASH',
    'sha:{SHA}SECRETHASH',
    'plain:SECRETHASH',
    'crypt:$6$salt$SECRETHASH',
    `slow:${HASH.replace('$04$', '$15$')}`,
    `cut:${HASH.slice(0, 40)}`,
    `long:${HASH}:SECRETHASH`,
    'SECRETHASH',
    `a b:${HASH}`,
    `jin:${HASH}`,
    `jin:${HASH}`,
  ];
  const parsed = parseHtpasswd('htpasswd', lines.join('\n'));
  const faults = 'faults' in parsed ? parsed.faults.map(formatFault) : [];
  const expected = [
    /^htpasswd:1: the password of md is MD5, .*htpasswd -B/,
    /^htpasswd:2: the password of sha is SHA-1, .*htpasswd -B/,
    /^htpasswd:3: the password of plain is not bcrypt; .*htpasswd -B/,
    /^htpasswd:4: the password of crypt is not bcrypt; /,
    /^htpasswd:5: the password of slow is bcrypt of a cost that is not between 4 and 14; /,
    /^htpasswd:6: the password of cut is bcrypt, but the hash is not whole$/,
    /^htpasswd:7: the password of long is bcrypt, but the hash is not whole$/,
    /^htpasswd:8: expected a name, a colon and a hash$/,
    /^htpasswd:9: "a b" is no user name/,
    /^htpasswd:11: jin is in line 10 already$/,
  ];
  assert.equal(faults.length, expected.length);
  for (const [index, pattern] of expected.entries()) assert.match(faults[index] ?? '', pattern);
  assert.ok(!faults.join().includes('SECRETHASH') && !faults.join().includes(HASH.slice(7, 30)));
});
