import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { parseUsers } from '../../src/auth/identity/users-file.ts';
import { watchUsers } from '../../src/auth/identity/users-watcher.ts';
import { type LoggedLine, testLog } from '../support/test-log.ts';
import { waitFor } from '../support/wait-for.ts';

const HASH =
  '$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$J0yL3zF6m0m4m0mWQ5r4m8yq0mWQ5r4m8yq0mWQ5r4m';

const entry = (index: number) => `  u${index}:\n    password: ${HASH}\n`;
const usersText = (count: number) =>
  `# Ours\nversion: 1\nusers:\n${Array.from({ length: count }, (_, index) => entry(index)).join('')}`;

test('invariant 13: many users are followed as few are: an edit holds, a mistake changes nothing and is said with its place', async () => {
  const home = await mkdtemp(path.join(tmpdir(), 'hubgate-users-'));
  const file = path.join(home, 'users.yaml');
  const log: LoggedLine[] = [];
  const many = usersText(2_000);
  await writeFile(file, many);
  const users = await watchUsers(file, testLog(log));
  try {
    const write = async (text: string) => {
      const parsed = parseUsers(file, text);
      await writeFile(file, text);
      const expected = 'value' in parsed ? parsed.value : undefined;
      if (expected === undefined) return;
      await waitFor(
        () =>
          users.current.size === expected.size &&
          users.current.get('u7')?.isDisabled === expected.get('u7')?.isDisabled,
      );
      assert.deepEqual(users.current, expected);
    };
    assert.equal(users.current.size, 2_000);
    await write(many.replace('  u7:\n', '  u7:\n    disabled: true\n'));
    assert.equal(users.current.get('u7')?.isDisabled, true);
    await write(many.replace('  u7:\n', '  u7:\n    disabled: maybe\n'));
    await waitFor(() => log.some(({ level }) => level === 50));
    assert.match(
      JSON.stringify(log),
      /users\.yaml:19:15: users\.u7\.disabled: found \\"maybe\\", expected true or false/,
    );
    assert.equal(users.current.get('u7')?.isDisabled, true);
    await write(many + entry(2_000));
    await write(`${many}  u7: { service: true }\n`);
    await waitFor(() => log.filter(({ level }) => level === 50).length === 2);
    assert.match(JSON.stringify(log), /this key stands here twice/);
    assert.equal(users.current.size, 2_001);
    await write(usersText(3));
    assert.equal(users.current.size, 3);
  } finally {
    users[Symbol.dispose]();
    await rm(home, { recursive: true });
  }
});
