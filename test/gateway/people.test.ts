import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { beforeEach, test } from 'node:test';
import bcrypt from 'bcryptjs';
import { decodeJwt } from 'jose';
import { imageOf } from '../support/image.ts';
import { PASSWORD, type TestHubgate } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';

const POLICY = `
allow:
  - { pull: library/**, to: authenticated }
  - { pull: library/busybox, to: anonymous, from: ["127.0.0.0/8", "::1"] }
`;
const TARGET = '/v2/library/alpine/manifests/latest';
const TOKEN = '/token?scope=repository:library/alpine:pull';
/** What the network alone grants. */
const OPEN_TOKEN = '/token?scope=repository:library/busybox:pull';
const IMPORTED = bcrypt.hash(PASSWORD, 4);

let hubgate: TestHubgate;

beforeEach(async (t) => {
  ({ hubgate } = await withMirror(t, {
    policy: POLICY,
    images: { 'library/alpine': imageOf() },
    delays: {
      free: 3,
      first: 60_000,
      longest: 60_000,
      forgottenAfter: 60_000,
      maxCached: 100,
      maxWaiting: 0,
      maxWaitingEach: 0,
    },
  }));
});

const usersFile = () => readFile(hubgate.paths.users, 'utf8');

/** Adds a user as an import does, and waits until auth knows. */
async function importUser(name: string): Promise<void> {
  hubgate.log.length = 0;
  await hubgate.setPassword(name, await IMPORTED);
  await waitFor(() => hubgate.log.some(({ msg }) => msg === 'users file changed'));
}

test('an imported user’s first login is hashed anew, and succeeds, and its token is good; so for ten at once', async () => {
  await importUser('jin');
  const answers = await Promise.all(Array.from({ length: 10 }, () => hubgate.ask(TOKEN, { user: 'jin' })));
  for (const { status, body } of answers) {
    assert.equal(status, 200);
    const { token } = JSON.parse(body.toString());
    assert.equal((await hubgate.ask(TARGET, { token })).status, 200);
  }
  const text = await usersFile();
  assert.match(text, /jin:\n {4}password: \$argon2id\$/);
  assert.ok(!text.includes(await IMPORTED));
  assert.equal((await hubgate.ask(TARGET, { user: 'jin' })).status, 200);
  assert.equal(await usersFile(), text);
});

test('an imported user may show a static header first', async () => {
  await importUser('jin');
  assert.equal((await hubgate.ask(TARGET, { user: 'jin' })).status, 200);
  assert.match(await usersFile(), /jin:\n {4}password: \$argon2id\$/);
});

test('where users.yaml cannot be changed an imported user logs in all the same', async () => {
  await importUser('jin');
  // Another process is at it, and stays.
  await writeFile(`${hubgate.paths.users}.lock`, `${process.pid} ${hostname()} 0123456789abcdef`);
  const { status, body } = await hubgate.ask(TOKEN, { user: 'jin' });
  assert.equal(status, 200);
  const { token } = JSON.parse(body.toString());
  assert.equal((await hubgate.ask(TARGET, { token })).status, 200);
  assert.ok((await usersFile()).includes(await IMPORTED));
  const warned = hubgate.log.find(({ msg }) => msg === 'the password of a user cannot be hashed anew');
  assert.equal(warned?.level, 40);
  assert.ok(!JSON.stringify(hubgate.log).includes(PASSWORD));
});

test('wrong logins by token endpoint and by header count alike, and slow nobody else', async () => {
  await hubgate.ask('/token', { user: 'ana', password: 'wrong 1' });
  await hubgate.ask(TOKEN, { user: 'ana', password: 'wrong 2' });
  await hubgate.ask(TARGET, { user: 'ana', password: 'wrong 3' });
  // Nobody may wait in this mirror, so whoever would have to is told.
  const slowed = await hubgate.ask('/token', { user: 'ana' });
  assert.equal(slowed.status, 429);
  assert.equal(slowed.headers['retry-after'], '1');
  await importUser('jin');
  assert.equal((await hubgate.ask('/token', { user: 'jin' })).status, 200);
});

test('a Docker Hub login that a classic dockerd sends to its mirror is counted against nobody', async () => {
  for (const user of ['ana', 'somebody-at-the-hub']) {
    for (let attempt = 0; attempt < 8; attempt++) {
      const { status, body } = await hubgate.ask(OPEN_TOKEN, { user, password: `at the hub ${attempt}` });
      assert.equal(status, 200, `${user} ${attempt}`);
      assert.equal(decodeJwt(JSON.parse(body.toString()).token).sub, 'anonymous');
    }
  }
  assert.equal((await hubgate.ask('/token', { user: 'ana' })).status, 200);
  const refused = await hubgate.ask('/token', { user: 'somebody-at-the-hub', password: 'x' });
  assert.equal(refused.status, 401);
});
