import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { settingsFor } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import { formatFault } from '../../src/platform/fault.ts';

const home = await mkdtemp(path.join(tmpdir(), 'hubgate-login-'));
after(() => rm(home, { recursive: true }));
await mkdir(path.join(home, 'config'));
await writeFile(path.join(home, 'secret'), 'directory-s3cret\n', { mode: 0o600 });

async function load(text: string, environment: Record<string, string> = {}) {
  await writeFile(path.join(home, 'config/hubgate.yaml'), text);
  return loadConfig({ directory: home, environment, readsSecrets: true });
}

async function loginsOf(text: string, environment?: Record<string, string>) {
  const loaded = await load(text, environment);
  assert.ok('value' in loaded, JSON.stringify(loaded));
  return loaded.value.logins;
}

async function faultsOf(login: string) {
  const loaded = await load(`login: ${login}\n`);
  return 'faults' in loaded ? loaded.faults.map(formatFault).join('\n') : '';
}

const PINNED = `
login:
  corp: { oidc: { issuer: "https://idp.corp", clientId: hubgate, clientSecretFile: secret, user: "\${preferred_username}", groups: "\${realm/groups}" }, confirm: 15m, offline: 24h }
  ad: { ldap: { url: "ldaps://dc1.corp", bindDn: "cn=hubgate,dc=corp", bindPasswordFile: secret, people: "ou=people,dc=corp", user: uid, groups: memberOf, passwords: console } }
`;

test('the logins are read with their defaults, and their files are below the home', async () => {
  const [corp, ad] = await loginsOf(PINNED);
  const times = { confirm: 15 * 60_000, offline: 24 * 3_600_000 };
  assert.deepEqual(corp, {
    ...{ name: 'corp', ...times, kind: 'oidc', issuer: 'https://idp.corp', clientId: 'hubgate' },
    user: [{ claim: ['preferred_username'] }],
    groups: ['realm', 'groups'],
    clientSecretFile: path.join(home, 'secret'),
  });
  assert.deepEqual(ad, {
    ...{ name: 'ad', ...times, kind: 'ldap', url: 'ldaps://dc1.corp', startTls: false },
    ...{ people: 'ou=people,dc=corp', user: 'uid', groups: 'memberOf', passwords: 'console' },
    ...{ bindDn: 'cn=hubgate,dc=corp', bindPasswordFile: path.join(home, 'secret') },
  });
  assert.deepEqual(await loginsOf(''), []);
});

test('the environment sets keys of logins that the file names', async () => {
  const text = 'login: { ad: { ldap: { url: "ldaps://dc1.corp", people: "ou=p" } } }';
  const [ad] = await loginsOf(text, {
    HUBGATE_LOGIN_AD_LDAP_USER: 'sAMAccountName',
    HUBGATE_LOGIN_AD_CONFIRM: '5m',
  });
  assert.deepEqual([ad?.user, ad?.confirm], ['sAMAccountName', 300_000]);
});

test('each mistake is named with its place and what to write', async () => {
  const oidc = (more: string) => `{ corp: { oidc: { issuer: "https://idp.corp", clientId: h${more} } } }`;
  const ldap = (more: string, url = 'ldaps://dc1.corp') =>
    `{ ad: { ldap: { url: "${url}", people: "ou=people"${more} } } }`;
  for (const [login, expected] of [
    ['{ Corp: { ldap: { url: "ldaps://d", people: "ou=p" } } }', /:1:10: "Corp" is no name of a login/],
    ['{ local: { ldap: { url: "ldaps://d", people: "ou=p" } } }', /"local" is no name of a login/],
    ['{ corp: {} }', /:1:10: corp needs oidc or ldap, and not both/],
    ['{ corp: { passwords: console } }', /passwords is a key of ldap; write it there/],
    ['{ corp: { oidc: { clientId: h } } }', /"login\.corp\.oidc\.issuer" is missing/],
    [
      '{ corp: { oidc: { issuer: "http://idp.corp", clientId: h } } }',
      /the https address of an identity provider/,
    ],
    [oidc(', clientSecret: x'), /write clientSecretFile/],
    [oidc(', clientSecretFile: missing'), /:1:\d+: the secret file cannot be read/],
    [oidc(', user: "${a}${b}"'), /two claims with nothing between them/],
    [oidc(', groups: "x-${groups}"'), /expected one claim/],
    [ldap('', 'ldap://dc1.corp'), /:1:\d+: passwords would be sent without TLS/],
    [ldap(', startTls: true'), /a connection to ldaps:\/\/ is TLS already/],
    [ldap('', 'https://dc1.corp'), /the address of a directory/],
    [ldap('', 'ldaps://dc1.corp/dc=x??sub'), /the address of a directory/],
    [ldap(', bindDn: "cn=h"'), /bindDn and bindPasswordFile belong together/],
    [ldap(', bindDn: "cn=h", bindPasswordFile: missing'), /the secret file cannot be read/],
    [ldap(', ca: missing'), /the file cannot be read/],
    [ldap(', user: "uid)(x=*"'), /the name of an attribute/],
    [ldap(', passwords: all'), /one of console, everywhere/],
    ['{ ad: { ldap: { url: "ldaps://d", people: "ou=p" }, confirm: 1h, offline: 30m } }', /it is shorter/],
    [
      '{ ad: { ldap: { url: "ldaps://d", people: "ou=p" }, confirm: 1s } }',
      /confirm: .* between 60s and 24h/,
    ],
  ] as const)
    assert.match(await faultsOf(login), expected, login);
  for (const login of [
    ldap(', startTls: true', 'ldap://dc1.corp'),
    ldap('', 'ldap://127.0.0.1:389'),
    oidc(''),
  ])
    assert.equal(await faultsOf(login), '', login);
});

test('only auth is given the logins', async () => {
  const loaded = await load(PINNED);
  assert.ok('value' in loaded);
  assert.deepEqual(settingsFor('auth', loaded.value).logins, loaded.value.logins);
  assert.deepEqual(settingsFor('gateway', loaded.value).logins, []);
});
