import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import bcrypt from 'bcryptjs';
import {
  decoyOf,
  hashPassword,
  isPasswordHash,
  isWeakerThan,
  randomPassword,
  verifyPassword,
} from '../../src/auth/identity/password.ts';
import {
  editUsers,
  parseUsers,
  readUsers,
  removeUser,
  replaceHash,
  setPassword,
} from '../../src/auth/identity/users-file.ts';
import { formatFault } from '../../src/platform/fault.ts';

const HASH = '$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21l$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g';

let directory: string;
let file: string;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-users-'));
  file = path.join(directory, 'users.yaml');
});

afterEach(() => rm(directory, { recursive: true }));

test('a user is added to a file that is not there, for its owner’s eyes only', async () => {
  assert.deepEqual(await readUsers(file), { value: new Map() });
  await setPassword(file, 'ana', HASH);
  const read = await readUsers(file);
  assert.ok('value' in read);
  const { id, ...ana } = read.value.get('ana') ?? assert.fail();
  assert.match(id ?? '', /^u[0-9a-f]{12}$/);
  assert.deepEqual(ana, { name: 'ana', isService: false, isDisabled: false, passwordHash: HASH });
  assert.equal(read.value.size, 1);
  assert.equal((await stat(file)).mode & 0o777, 0o600);
});

test('comments and order stay, whatever is changed', async () => {
  await writeFile(
    file,
    `# our people
version: 1
users:
  # the platform team
  jin:
    password: ${HASH} # since 2026
  ana:
    password: ${HASH}

# the end
`,
  );
  const other = HASH.replace('aGFzaG', 'b3RoZX');
  await setPassword(file, 'jin', other);
  await setPassword(file, 'zoe', HASH);
  await removeUser(file, 'ana');
  assert.equal(
    (await readFile(file, 'utf8')).replace(/\n {4}id: u[0-9a-f]{12}$/m, ''),
    `# our people
version: 1
users:
  # the platform team
  jin:
    password: ${other} # since 2026
  zoe:
    password: ${HASH}

# the end
`,
  );
});

test('a service account, and being disabled, are written and taken back; what is refused changes nothing', async () => {
  await setPassword(file, 'ana', HASH);
  await editUsers(
    file,
    () =>
      new Map([
        ['ci', { isService: true as const }],
        ['ana', { isDisabled: true }],
      ]),
  );
  const text = await readFile(file, 'utf8');
  assert.match(
    text,
    /\n {2}ana:\n {4}password: \S+\n {4}id: \w+\n {4}disabled: true\n {2}ci:\n {4}service: true\n {4}id: \w+\n$/,
  );
  assert.equal(await editUsers(file, (users) => (users.has('ci') ? 'no' : new Map())), 'no');
  assert.equal(await readFile(file, 'utf8'), text);
  await editUsers(file, () => new Map([['ana', { isDisabled: false }]]));
  assert.doesNotMatch(await readFile(file, 'utf8'), /disabled/);
});

test('a hash is replaced where it is still the one that was verified', async () => {
  const other = HASH.replace('aGFzaG', 'b3RoZX');
  await setPassword(file, 'ana', HASH);
  assert.equal(await replaceHash(file, 'ana', other, HASH), false);
  assert.equal(await replaceHash(file, 'nobody', HASH, other), false);
  assert.equal(await replaceHash(file, 'ana', HASH, other), true);
  assert.match(await readFile(file, 'utf8'), /b3RoZX/);
});

test('a file that cannot be read is not written over', async () => {
  const broken = 'version: 1\nusers:\n  ana: {pasword: x}\n';
  await writeFile(file, broken);
  await assert.rejects(setPassword(file, 'jin', HASH), { name: 'FaultsError' });
  assert.equal(await readFile(file, 'utf8'), broken);
});

test('a user without a hash, with something else for one, or of an odd name is a fault', () => {
  const faults = (text: string) => {
    const parsed = parseUsers('users.yaml', text);
    return 'faults' in parsed ? parsed.faults.map(formatFault) : [];
  };
  const text = `version: 1
users:
  ana: {}
  bo: { password: hunter2 }
  "a b": { password: "${HASH}" }
  authenticated: { password: "${HASH}" }
  zoe: { password: "${HASH}", admin: true }
  eve: { password: ${HASH} }
`;
  assert.deepEqual(faults(text), [
    'users.yaml:3:3: ana has no password, and is no service',
    'users.yaml:4:19: users.bo.password: found something else, expected an argon2id or bcrypt hash, as `hubgate user` writes it',
    'users.yaml:5:3: "a b" is no user name: letters, digits and _, between them also . @ + - $ and \\, at most 64',
    'users.yaml:6:3: "authenticated" means something else in a policy, so no user can be called that',
    `users.yaml:7:${24 + HASH.length}: unknown key "users.zoe.admin"; known here: password, service, disabled, id`,
    'users.yaml:8:20: users.eve.password: found something else, expected an argon2id or bcrypt hash, as `hubgate user` writes it',
    'users.yaml:8:43: unknown key "users.eve…"; known here: password, service, disabled, id',
    'users.yaml:8:47: unknown key "users.eve…"; known here: password, service, disabled, id',
  ]);
});

test('a hash verifies its password and no other, and is what the file may hold', async () => {
  const hash = await hashPassword('pä$$ word:*');
  assert.ok(isPasswordHash(hash));
  assert.ok(await verifyPassword(hash, 'pä$$ word:*'));
  assert.ok(!(await verifyPassword(hash, 'pä$$ word:')));
  assert.ok(!isPasswordHash('$2y$05$abcdefghijklmnopqrstuv'));
});

test('a random password is one, and has no letters that look alike', () => {
  const passwords = new Set(Array.from({ length: 200 }, randomPassword));
  assert.equal(passwords.size, 200);
  for (const password of passwords) assert.match(password, /^[a-km-np-z2-9]{24}$/);
});

test('a bcrypt hash in its three spellings verifies, up to a cost that can be afforded', async () => {
  const hash = await bcrypt.hash('pä$$ word:*', 4);
  for (const version of ['$2a', '$2b', '$2y']) {
    const spelt = hash.replace(/^\$2./, version);
    assert.ok(isPasswordHash(spelt), version);
    assert.ok(await verifyPassword(spelt, 'pä$$ word:*'), version);
    assert.ok(!(await verifyPassword(spelt, 'pä$$ word:')), version);
  }
  for (const cost of ['03', '15', '31']) assert.ok(!isPasswordHash(hash.replace('$04$', `$${cost}$`)), cost);
  assert.ok(!isPasswordHash(hash.replace(/^\$2./, '$2x')));
});

test('a decoy is a hash that costs the same, and nothing fits', async () => {
  for (const hash of [HASH, await bcrypt.hash('right', 4)]) {
    const decoy = decoyOf(hash);
    assert.ok(isPasswordHash(decoy), decoy);
    assert.equal(decoy.slice(0, 7), hash.slice(0, 7));
    assert.equal(decoy.length, hash.length);
    assert.ok(!(await verifyPassword(decoy, 'right')));
    assert.notEqual(decoyOf(hash), decoy);
  }
});

test('a hash is weaker by its memory or its passes, and bcrypt always is', async () => {
  const asked = { memory: 19 * 2 ** 20, passes: 2 };
  assert.ok(!isWeakerThan(await hashPassword('x', asked), asked));
  assert.ok(!isWeakerThan(HASH, asked));
  assert.ok(!isWeakerThan(HASH.replace('t=2,p=1', 'p=1,t=2'), asked));
  assert.ok(isWeakerThan(HASH, { ...asked, passes: 3 }));
  assert.ok(isWeakerThan(HASH, { ...asked, memory: 20 * 2 ** 20 }));
  assert.ok(!isWeakerThan(HASH.replace('m=19456', 'm=65536'), asked));
  assert.ok(isWeakerThan(await bcrypt.hash('x', 4), asked));
  const [, , , parameters] = (await hashPassword('x', { memory: 32 * 2 ** 20, passes: 3 })).split('$');
  assert.deepEqual(parameters?.split(',').sort(), ['m=32768', 'p=1', 't=3']);
});

test('ten thousand users are read', () => {
  const users = Array.from({ length: 10_000 }, (_, index) => `  u${index}:\n    password: ${HASH}\n`);
  const parsed = parseUsers('users.yaml', `version: 1\nusers:\n${users.join('')}`);
  assert.ok('value' in parsed, 'faults' in parsed ? parsed.faults.map(formatFault).join('\n') : '');
  assert.equal(parsed.value.size, 10_000);
});
