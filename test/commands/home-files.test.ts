import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmod,
  chown,
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { check } from '../../src/commands/check.ts';
import { doctor } from '../../src/commands/doctor/doctor.ts';
import { prepareHome } from '../../src/launch/prepare-home.ts';
import { trustedIds, untrustedFault } from '../../src/platform/file-owner.ts';
import { COMPILED } from '../support/compiled.ts';
import { run } from './support/terminal.ts';

const BIN = path.join(import.meta.dirname, '../../src/bin/hubgate.ts');
/** A user number that no system assigns. */
const OTHER = 61_005;

let home: string;
const at = (file: string) => path.join(home, file);

beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'hubgate-owners-'));
});

afterEach(() => rm(home, { recursive: true, force: true }));

const checked = (directory = home) =>
  run((terminal) => check({ home: directory, json: false }, {}, terminal));
const prepared = () => run((terminal) => prepareHome({ home }, {}, terminal));

function start(directory = home, user?: number) {
  const { HOME, PATH } = process.env;
  const args = [BIN, 'start', '--home', directory];
  const as = user === undefined ? { env: { HOME, PATH, ...COMPILED } } : { uid: user, gid: user };
  return spawnSync(process.execPath, args, { ...as, encoding: 'utf8', timeout: 20_000 });
}

function examined() {
  const options = { home, json: false, image: 'library/alpine' };
  const context = { clock: Date.now, root: '/nonexistent', hub: [] };
  const environment = { HUBGATE_UPSTREAMS_DOCKER_IO_URL: 'http://127.0.0.1:1' };
  return run((terminal) => doctor(options, environment, terminal, context));
}

test('configuration that everybody may write is refused by start, check and doctor, each with the chmod to type', async () => {
  await prepared();
  await writeFile(at('config/hubgate.yaml'), '');
  await mkdir(at('config/access.d'));
  await writeFile(at('config/access.d/more.yaml'), 'version: 1\n...\n');
  assert.equal((await checked()).code, 0);
  const files = ['config', 'config/hubgate.yaml', 'config/access.yaml', 'config/access.d'];
  const all = [...files, 'config/access.d/more.yaml'];
  const modes = new Map<string, number>();
  for (const file of all) {
    const { mode } = await stat(at(file));
    modes.set(file, mode);
    await chmod(at(file), mode | 0o002);
  }
  const started = start();
  assert.equal(started.status, 2);
  const found = [started.stderr, (await checked()).stderr, (await examined()).stdout];
  for (const said of found)
    for (const file of all) assert.ok(said.includes(`type: chmod o-w '${at(file)}'`), `${file}: ${said}`);
  // A directory in which nobody replaces what is another's is good.
  for (const file of all) await chmod(at(file), modes.get(file) ?? assert.fail());
  await chmod(at('config'), 0o1777);
  assert.equal((await checked()).code, 0);
});

/** A configuration that names a file of each kind, except for the certificates of the server. */
const NAMING = `
upstreams:
  docker.io: { username: acme, passwordFile: keys/hub, ca: keys/hub.crt }
egress: { proxy: "http://proxy.corp:3128", username: acme, passwordFile: keys/proxy, ca: keys/proxy.crt }
tls: { clientCa: keys/clients.crt }
login:
  corp:
    oidc: { issuer: "https://id.corp", clientId: hubgate, clientSecretFile: keys/oidc }
  ad:
    ldap:
      { url: "ldaps://dc1.corp", people: "ou=people,dc=corp", bindDn: "cn=h", bindPasswordFile: keys/ldap, ca: keys/ldap.crt }
`;
const NAMED_SECRETS = ['hub', 'proxy', 'oidc', 'ldap'].map((name) => `keys/${name}`);
const NAMED_AUTHORITIES = ['hub', 'proxy', 'clients', 'ldap'].map((name) => `keys/${name}.crt`);

/** Makes a home whose configuration names all these files. */
async function preparedNaming(): Promise<void> {
  await prepared();
  await mkdir(at('keys'));
  await writeFile(at('config/hubgate.yaml'), NAMING);
  for (const file of NAMED_SECRETS) await writeFile(at(file), 'secret', { mode: 0o600 });
  for (const file of NAMED_AUTHORITIES) await copyFile(at('certs/ca.crt'), at(file));
  assert.equal((await checked()).stderr, '');
}

test('a file of authorities that everybody may write is refused by start, check and doctor', async () => {
  await preparedNaming();
  for (const file of NAMED_AUTHORITIES) await chmod(at(file), 0o666);
  const started = start();
  assert.equal(started.status, 2);
  for (const said of [started.stderr, (await checked()).stderr, (await examined()).stdout])
    for (const file of NAMED_AUTHORITIES)
      assert.ok(said.includes(`type: chmod o-w '${at(file)}'`), `${file}: ${said}`);
});

test('the local CA is examined as a file of authorities where no other is named', async () => {
  await prepared();
  await chmod(at('certs/ca.crt'), 0o666);
  assert.match((await checked()).stderr, /^certs\/ca\.crt: has the mode 0666: everybody may write it; /m);
});

test('doctor names every secret file that others may read', async () => {
  await preparedNaming();
  for (const file of NAMED_SECRETS) await chmod(at(file), 0o604);
  const { stdout } = await examined();
  for (const file of NAMED_SECRETS) assert.ok(stdout.includes(`chmod 0600 ${file}`), `${file}: ${stdout}`);
});

test('a start refuses keys of another user, and directories in which another user could replace them', async (t) => {
  if (process.geteuid?.() !== 0) return t.diagnostic('only root can give files away');
  await preparedNaming();
  await chmod(home, 0o755);
  spawnSync('chown', ['-R', `${OTHER}:${OTHER}`, home]);
  const others = [...NAMED_SECRETS, 'state', 'certs'];
  for (const file of others) {
    await chown(at(file), OTHER + 1, OTHER);
    const isDirectory = !file.startsWith('keys');
    await chmod(at(file), isDirectory ? 0o775 : 0o640);
  }
  const started = start(home, OTHER);
  assert.equal(started.status, 2, started.stdout);
  for (const file of others)
    assert.ok(started.stderr.includes(`${at(file)}: belongs to user ${OTHER + 1}, `), started.stderr);
});

test('of owners and groups: this user, root, the home’s owner and groups of this process are trusted, and others are not', async () => {
  const trusted = await trustedIds([home]);
  const [own, group] = [process.geteuid?.() ?? 0, process.getegid?.() ?? 0];
  assert.ok([0, own].every((id) => trusted.users.has(id)));
  assert.ok([0, group].every((id) => trusted.groups.has(id)));
  const file = at('file');
  await writeFile(file, '');
  await chmod(file, 0o664);
  assert.equal(await untrustedFault(file, trusted), undefined);
  const strangers = { users: new Set([OTHER]), groups: new Set([OTHER]) };
  assert.match(
    (await untrustedFault(file, strangers))?.message ?? '',
    /^belongs to user \d+, .*; type: chown /,
  );
  const ownAlone = { users: trusted.users, groups: new Set([OTHER]) };
  assert.match(
    (await untrustedFault(file, ownAlone))?.message ?? '',
    /^has the mode 0664: group \d+ may write it, .*; type: chmod g-w/,
  );
  // The roles of a pod share a volume by its group.
  if (process.geteuid?.() === 0) {
    const member = { users: new Set<number>(), groups: new Set([OTHER]) };
    await mkdir(at('shared/own'), { recursive: true });
    const shared = at('shared/own/key');
    await writeFile(shared, '', { mode: 0o640 });
    await chown(shared, 0, OTHER);
    assert.match((await untrustedFault(shared, member))?.message ?? '', /^belongs to user 0/);
    await chown(at('shared'), 0, OTHER);
    await chmod(at('shared'), 0o2770);
    assert.equal(await untrustedFault(shared, member), undefined);
  }
  // Kubernetes mounts a config map as links, so the mode of the file behind the link counts.
  await chmod(file, 0o644);
  await symlink('file', at('link'));
  assert.equal(await untrustedFault(at('link'), ownAlone), undefined);
  assert.equal(await untrustedFault(at('not-there'), strangers), undefined);
});

test('a home that is too long for its sockets is refused before anything is made in it', async () => {
  const long = path.join(home, 'x'.repeat(100));
  await mkdir(path.join(long, 'config'), { recursive: true });
  const said =
    /run\/auth\/auth\.sock: is too long for a unix socket: \d+ bytes of at most 107; choose a shorter --home/;
  const { status, stdout, stderr } = start(long);
  assert.equal(status, 2);
  assert.match(stderr, said);
  assert.equal(stdout, '');
  assert.deepEqual(await readdir(path.join(long, 'config')), []);
  assert.match((await checked(long)).stderr, said);
});

test('a home that belongs to another user is refused with the file, its owner and what to do', async (t) => {
  if (process.geteuid?.() !== 0) return t.diagnostic('only root can give files away');
  const { status } = spawnSync(process.execPath, [BIN, 'prepare', '--home', home], { encoding: 'utf8' });
  assert.equal(status, 0);
  const files = ['.', 'state', 'config', 'data', 'state/signing-key.pem', 'config/users.yaml'];
  for (const file of files) await chown(at(file), OTHER + 1, OTHER + 1);
  await chmod(home, 0o755);
  await chmod(at('config'), 0o755);
  const options = { uid: OTHER, gid: OTHER, encoding: 'utf8' } as const;
  const { stdout, stderr } = spawnSync(process.execPath, [BIN, 'check', '--home', home], options);
  assert.equal(stdout, '');
  assert.match(
    stderr,
    /^state: belongs to user 61006, and user 61005 may not read and write it; run this as user 61006, or as root type: chown -R 61005 '/m,
  );
});
