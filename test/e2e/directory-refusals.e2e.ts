/** What is refused at logins by LDAP, with Debian's slapd: injections, empty passwords and referrals. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { openLdapDirectory } from '../../src/auth/identity/directory/ldap.ts';
import type { LdapLogin } from '../../src/config/login.ts';
import { Browser } from '../support/browser.ts';
import { testLog } from '../support/test-log.ts';
import { withMirror } from '../support/with-mirror.ts';
import { BIND_DN, BIND_PASSWORD, PEOPLE, type Slapd, startSlapd } from './support/slapd.ts';

const PASSWORD = 'p4ssword of a person';
const INJECTIONS = [
  '*',
  'an*',
  'zoe)(uid=*',
  '*)(uid=*))(|(uid=*',
  'zoe)(|(objectClass=*',
  '*)(|(&',
  'zoe\\2a',
  'zoe\0',
  '(uid=zoe)',
  `uid=zoe,${PEOPLE}`,
  'zoe)(!(uid=x',
  '\\',
];

const EMPTY = ['', '\0'];

let slapd: Slapd;
let login: LdapLogin;
const stack = new AsyncDisposableStack();

before(async () => {
  slapd = stack.use(await startSlapd());
  const bindPasswordFile = path.join(slapd.directory, 'secret');
  await writeFile(bindPasswordFile, `${BIND_PASSWORD}\n`, { mode: 0o600 });
  await slapd.addPerson('zoe', PASSWORD);
  login = {
    ...{ kind: 'ldap', name: 'corp', url: slapd.tlsUrl, startTls: false, ca: slapd.ca, people: PEOPLE },
    ...{ user: 'uid', groups: 'memberOf', bindDn: BIND_DN, bindPasswordFile, passwords: 'everywhere' },
    ...{ confirm: 900_000, offline: 86_400_000 },
  };
});

after(() => stack.disposeAsync());

/** Asks slapd itself, without what is refused before. */
function directoryAt(more: Partial<LdapLogin> = {}) {
  return openLdapDirectory({ login: { ...login, ...more }, clock: Date.now, log: testLog([]) });
}

test('no text in the place of a name or a password is more than that', async (t) => {
  const { bindDn, bindPasswordFile, ca, people, url } = login;
  const { hubgate } = await withMirror(t, {
    policy: 'allow: []',
    configuration: {
      login: { corp: { ldap: { url, ca, people, bindDn, bindPasswordFile, passwords: 'everywhere' } } },
    },
  });
  await hubgate.startAccount();
  const statuses = async (user: string, password: string) => [
    (await hubgate.ask('/token', { user, password })).status,
    (await new Browser(hubgate).logIn(user, password)).status,
  ];
  for (const name of INJECTIONS) assert.deepEqual(await statuses(name, PASSWORD), [401, 403], name);
  for (const password of [...EMPTY, '*']) assert.deepEqual(await statuses('zoe', password), [401, 403]);
  // Not even the delays for wrong guesses at this name are a lock.
  assert.deepEqual(await statuses('zoe', PASSWORD), [200, 303]);
});

test('a name is a value of the search, and no part of its filter', async () => {
  const directory = directoryAt();
  for (const name of INJECTIONS) assert.equal(await directory.authenticate(name, PASSWORD), undefined, name);
  assert.equal((await directory.authenticate('zoe', PASSWORD))?.name, 'zoe');
});

test('an empty password is refused, although the directory accepts it', async () => {
  const directory = directoryAt();
  assert.equal(await directory.authenticate('zoe', ''), undefined);
  assert.equal(await directory.authenticate('', PASSWORD), undefined);
});

test('no referral is followed, wherever the directory has it', async () => {
  let connections = 0;
  const elsewhere = createServer((socket) => {
    connections++;
    socket.destroy();
  });
  elsewhere.listen(0, '127.0.0.1');
  await once(elsewhere, 'listening');
  const { port } = elsewhere.address() as AddressInfo;
  const dn = `ou=elsewhere,${PEOPLE}`;
  await slapd.addReferral(dn, `ldap://127.0.0.1:${port}`);
  // Each search finds the referral beside the people who are here.
  const directory = directoryAt();
  assert.equal((await directory.authenticate('zoe', PASSWORD))?.name, 'zoe');
  assert.equal(await directory.authenticate('nobody', PASSWORD), undefined);
  assert.equal((await directory.check()).people, 1);
  // All people are elsewhere.
  await assert.rejects(directoryAt({ people: dn }).authenticate('zoe', PASSWORD), {
    name: 'DirectoryUnavailable',
  });
  assert.equal(connections, 0);
  elsewhere.close();
  await once(elsewhere, 'close');
});
