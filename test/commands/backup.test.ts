/** `hubgate backup` and `hubgate restore`, on homes whose mirror is not running. */
import assert from 'node:assert/strict';
import {
  access,
  appendFile,
  chmod,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { openAuthState } from '../../src/auth/state/sqlite-state.ts';
import { readAtOneMoment } from '../../src/commands/backup/copy-home.ts';
import { listTree } from '../../src/commands/backup/list-tree.ts';
import { HostedCore } from '../support/hosted-core.ts';
import { SmallDisk } from '../support/small-disk.ts';
import { runVerb } from './support/terminal.ts';

/** A home that a start has prepared, of which each test gets a copy. */
let prepared: string;
let root: string;
let home: string;
let backup: string;
let restored: string;

before(async () => {
  prepared = await mkdtemp(path.join(tmpdir(), 'hubgate-prepared-'));
  const { code, stderr } = await runVerb(['prepare', '--home', prepared]);
  assert.equal(code, 0, stderr);
});

after(() => rm(prepared, { recursive: true }));

beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'hubgate-backup-'));
  home = path.join(root, 'home');
  backup = path.join(root, 'backup');
  restored = path.join(root, 'restored');
  await cp(prepared, home, { recursive: true });
});

afterEach(() => rm(root, { recursive: true }));

const at = (file: string) => path.join(home, file);
const backUp = (...args: string[]) => runVerb(['backup', backup, '--home', home, ...args]);
const restore = (...args: string[]) => runVerb(['restore', backup, '--home', restored, ...args]);

async function mustBackUp(): Promise<void> {
  const { code, stderr } = await backUp();
  assert.equal(code, 0, stderr);
}

/** Returns the files below a directory, in order. */
async function filesOf(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.relative(directory, path.join(entry.parentPath, entry.name)))
    .toSorted();
}

async function isThere(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}

test('a restored home has every file that matters, with its bytes and its mode', async () => {
  await mkdir(at('config/access.d'));
  await mkdir(at('state/cluster'));
  await writeFile(at('config/hubgate.yaml'), '# nothing yet\n', { mode: 0o640 });
  await writeFile(at('config/access.d/pay.yaml'), 'version: 1\n...\n');
  await writeFile(at('state/signing-key.previous.pem'), 'a key', { mode: 0o600 });
  await writeFile(at('state/cluster/policy'), 'a document');
  for (const file of ['state/audit.log', 'state/audit.log.1', 'data/blob', 'run/auth/left', 'config/a.tmp'])
    await writeFile(at(file), 'not in the backup');
  await chmod(at('certs'), 0o755);
  await mustBackUp();
  const { code, stderr } = await restore();
  assert.equal(code, 0, stderr);
  const expected = (await filesOf(home)).filter((file) => !/^data|^run|audit|\.tmp$|auth\.db/.test(file));
  assert.deepEqual(await filesOf(restored), expected);
  assert.ok(expected.includes('certs/ca.key') && expected.includes('state/cluster/policy'));
  for (const file of ['certs', ...expected]) {
    const [before, now] = [await stat(at(file)), await stat(path.join(restored, file))];
    assert.deepEqual([file, now.mode, now.uid], [file, before.mode, before.uid]);
    if (before.isFile())
      assert.deepEqual(await readFile(path.join(restored, file)), await readFile(at(file)), file);
  }
  assert.equal((await runVerb(['check', '--home', restored])).code, 0);
});

test('only the owner can read a backup', async () => {
  await chmod(at('certs/ca.key'), 0o640);
  await mustBackUp();
  for (const entry of await readdir(backup, { recursive: true, withFileTypes: true })) {
    const { mode } = await stat(path.join(entry.parentPath, entry.name));
    assert.equal(mode & 0o777, entry.isDirectory() ? 0o700 : 0o600, entry.name);
  }
  assert.equal((await stat(backup)).mode & 0o777, 0o700);
});

test('the copy of auth.db has what is still in its log, and needs none', async () => {
  await using state = openAuthState(at('state/auth.db'));
  const times = { createdAt: 1, expiresAt: 2, lastUsedAt: 1 };
  await state.putLogin({ id: 'l1', user: 'ana', hash: 'h', credential: 'c', client: 'docker', ...times });
  await mustBackUp();
  assert.deepEqual(
    (await filesOf(path.join(backup, 'home/state'))).filter((file) => file.startsWith('auth.db')),
    ['auth.db'],
  );
  assert.equal((await restore()).code, 0);
  await using copy = openAuthState(path.join(restored, 'state/auth.db'));
  assert.equal((await copy.login('l1'))?.user, 'ana');
});

test('a backup says what it does not have, and so does a restore', async () => {
  await mkdir(at('secrets/hub'), { recursive: true });
  await writeFile(at('secrets/hub/token'), 'secret', { mode: 0o600 });
  await writeFile(at('secrets/dc.crt'), 'the authority of the directory');
  const configuration = {
    tls: { clientCa: '/etc/ssl/corp.crt' },
    upstreams: {
      'docker.io': { username: 'acme', passwordFile: '/run/secrets/hub' },
      'ghcr.io': { username: 'acme', passwordFile: 'secrets/hub/token' },
      'quay.io': { accounts: [{ name: 'pay', username: 'a', passwordFile: '/run/secrets/pay' }] },
    },
    login: {
      corp: {
        oidc: { issuer: 'https://idp.corp', clientId: 'hubgate', clientSecretFile: '/run/secrets/oidc' },
      },
      ad: { ldap: { url: 'ldaps://dc1.corp', people: 'ou=people,dc=corp', ca: 'secrets/dc.crt' } },
    },
    cluster: { database: 'postgres://hubgate:geheim@db.corp/hubgate', node: 'n1' },
  };
  await writeFile(at('config/hubgate.yaml'), JSON.stringify(configuration));
  const said = await backUp();
  assert.equal(said.code, 0, said.stderr);
  const { stdout } = await restore();
  for (const text of [said.stdout, stdout]) {
    assert.match(text, /^ {2}\/etc\/ssl\/corp\.crt: tls\.clientCa names it, and it is outside of the home$/m);
    assert.match(text, /^ {2}\/run\/secrets\/hub: upstreams\.docker\.io\.passwordFile names it/m);
    assert.match(
      text,
      /^ {2}\/run\/secrets\/pay: upstreams\.quay\.io\.accounts\.pay\.passwordFile names it/m,
    );
    assert.match(text, /^ {2}\/run\/secrets\/oidc: login\.corp\.oidc\.clientSecretFile names it/m);
    assert.match(text, /^ {2}\S+\/data: the cache/m);
    assert.match(text, /^ {2}\S+\/state\/audit\.log: the audit log/m);
    assert.match(text, /^ {2}the database db\.corp\/hubgate: .*pg_dump.*hubgate cluster export$/m);
    assert.ok(!text.includes('geheim'));
  }
  assert.equal(await readFile(path.join(restored, 'secrets/hub/token'), 'utf8'), 'secret');
  await readFile(path.join(restored, 'secrets/dc.crt'));
  assert.equal((await stat(path.join(restored, 'secrets/hub'))).mode, (await stat(at('secrets/hub'))).mode);
});

test('invariant 19: neither a backup nor a restore writes over anything', async () => {
  await mkdir(backup);
  await writeFile(path.join(backup, 'mine'), 'mine');
  const onto = await backUp();
  assert.equal(onto.code, 1);
  assert.equal(onto.stderr, `hubgate: ${backup} exists, and nothing is overwritten; name a new directory\n`);
  const into = await runVerb(['backup', at('state/backup'), '--home', home]);
  assert.match(into.stderr, /is in state\/ of the home; name a directory elsewhere\n$/);
  await rm(path.join(backup, 'mine'));
  await mustBackUp();
  await mkdir(path.join(restored, 'lost+found'), { recursive: true });
  await writeFile(path.join(restored, 'mine'), 'mine');
  const { code, stderr } = await restore();
  assert.equal(code, 1);
  assert.match(stderr, /restored is not empty \(it has mine\), and nothing is overwritten; stop the mirror/);
  assert.deepEqual(await filesOf(restored), ['mine']);
  await rm(path.join(restored, 'mine'));
  assert.equal((await restore()).code, 0, 'a new file system has a lost+found');
});

test('what is no home is not backed up', async () => {
  const { code, stderr } = await runVerb(['backup', backup, '--home', restored]);
  assert.equal(code, 1);
  assert.match(stderr, /restored is no home: .*name it with --home\n$/);
  assert.deepEqual(await readdir(root), ['home']);
});

/** Each makes a whole backup one that must not be restored, and returns what is said about it. */
const DAMAGES: Readonly<Record<string, () => Promise<RegExp>>> = {
  'a changed file': async () => {
    const file = path.join(backup, 'home/config/users.yaml');
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replace('admin', 'bdmin'));
    return /home\/config\/users\.yaml is not what was backed up: its digest differs/;
  },
  'a torn file': async () => {
    await truncate(path.join(backup, 'home/certs/ca.key'), 10);
    return /home\/certs\/ca\.key has 10 bytes instead of \d+/;
  },
  'a missing file': async () => {
    await rm(path.join(backup, 'home/state/signing-key.pem'));
    return /home\/state\/signing-key\.pem is missing/;
  },
  'an added file': async () => {
    await mkdir(path.join(backup, 'home/config/access.d'));
    await writeFile(path.join(backup, 'home/config/access.d/mine.yaml'), 'allow: everything');
    return /home\/config\/access\.d is not named by MANIFEST\.json/;
  },
  'a link in the place of a file': async () => {
    const file = path.join(backup, 'home/certs/ca.key');
    await rename(file, path.join(root, 'ca.key'));
    await symlink(path.join(root, 'ca.key'), file);
    return /home\/certs\/ca\.key is not named by MANIFEST\.json/;
  },
  'no manifest, as when it broke off': async () => {
    await rm(path.join(backup, 'MANIFEST.json'));
    return /is not a complete backup: it has no MANIFEST\.json/;
  },
  'a torn manifest': async () => {
    await truncate(path.join(backup, 'MANIFEST.json'), 100);
    return /MANIFEST\.json is damaged/;
  },
  'a manifest that leads elsewhere': async () => {
    await editManifest((text) => text.replace('"home/certs/ca.key"', '"home/../../ca.key"'));
    return /MANIFEST\.json is damaged: files\.\d+\.path a path below home or hosted/;
  },
  'a newer form': async () => {
    await editManifest((text) => text.replace('"format": 1', '"format": 2'));
    return /was made by a newer Hubgate \(\d\S*\); restore it with that version/;
  },
};

async function editManifest(edit: (text: string) => string): Promise<void> {
  const file = path.join(backup, 'MANIFEST.json');
  const text = await readFile(file, 'utf8');
  assert.notEqual(edit(text), text);
  await writeFile(file, edit(text));
}

for (const [what, damage] of Object.entries(DAMAGES))
  test(`a backup with ${what} is refused, and nothing is restored`, async () => {
    await mustBackUp();
    const expected = await damage();
    const { code, stderr } = await restore();
    assert.equal(code, 1);
    assert.match(stderr, expected);
    assert.equal(await isThere(restored), false);
  });

test('a database that is damaged is no backup, and nothing is left of the attempt', async () => {
  const file = at('state/auth.db');
  await openAuthState(file)[Symbol.asyncDispose]();
  const whole = await readFile(file);
  const wrongPage = Buffer.from(whole).fill(0xff, 4096, 8192);
  const foreign = 'this is no database, whatever its name says. '.repeat(100);
  for (const [bytes, expected] of [
    [wrongPage, /state\/auth\.db is damaged: /],
    [foreign, /not a database/],
  ] as const) {
    await writeFile(file, bytes);
    const { code, stderr } = await backUp();
    assert.equal(code, 1);
    assert.match(stderr, expected);
    assert.deepEqual(await readdir(root), ['home']);
  }
});

test('the files of the policy are those of one moment', async () => {
  await mkdir(at('config/access.d'));
  let looks = 0;
  const list = async () => {
    looks++;
    if (looks === 2) {
      // Somebody moves a rule from one file to another after the first file was read.
      await writeFile(at('config/access.yaml'), 'second');
      await writeFile(at('config/access.d/new.yaml'), 'second');
    }
    return listTree(home, ['config']);
  };
  const { read } = await readAtOneMoment(home, list);
  const policy = read.filter(({ entry }) => /access(?:\.d\/new)?\.yaml$/.test(entry.at));
  assert.deepEqual(
    policy.map(({ bytes }) => bytes.toString()),
    ['second', 'second'],
  );
});

test('a start refuses a home into which a restore has not ended', async () => {
  await mkdir(at('.restoring'));
  const { code, stderr } = await runVerb(['check', '--home', home]);
  assert.equal(code, 2);
  assert.match(stderr, /\.restoring: a restore into this home has not ended; remove all that is in the home/);
});

test('a full disk ends a backup and a restore, says so, and leaves nothing', async (t) => {
  await using disk = await SmallDisk.make('1m');
  if (disk === undefined) return t.skip('only root can mount a disk');
  await mustBackUp();
  await disk.fill();
  const target = path.join(disk.directory, 'backup');
  const full = await runVerb(['backup', target, '--home', home]);
  assert.equal(full.code, 1);
  assert.match(full.stderr, /the backup cannot be written to \S+: the disk is full/);
  const home2 = path.join(disk.directory, 'home');
  const { code, stderr } = await runVerb(['restore', backup, '--home', home2]);
  assert.equal(code, 1);
  assert.match(stderr, /home cannot be written: the disk is full/);
  assert.deepEqual(await readdir(disk.directory), ['filler']);
});

test('a directory where a disk is mounted is refused, because a backup is renamed to its name', async (t) => {
  await using disk = await SmallDisk.make('1m');
  if (disk === undefined) return t.skip('only root can mount a disk');
  const { code, stderr } = await runVerb(['backup', disk.directory, '--home', home]);
  assert.equal(code, 1);
  assert.match(stderr, /is where a disk is mounted; name a new directory below it/);
});

test('what is hosted outside of the home is backed up while no core runs, and restored to its place', async () => {
  const elsewhere = path.join(root, 'elsewhere');
  await using core = await HostedCore.start();
  await core.pushImage('1', 'a layer');
  const content = path.join(root, 'content');
  await core.core.restart({}, () => cp(core.directory, content, { recursive: true }));
  const settings = (directory: string) =>
    `hosted: { directory: ${directory}, namespaces: { "acme/**": {} } }\n`;
  await writeFile(at('config/hubgate.yaml'), settings(content));
  await mustBackUp();
  const { files } = JSON.parse(await readFile(path.join(backup, 'MANIFEST.json'), 'utf8'));
  const blobs = files.filter((file: { path: string }) => file.path.startsWith('hosted/blobs/'));
  assert.equal(blobs.length, 2);
  for (const { path: name, digest } of blobs) assert.ok(digest.endsWith(path.basename(name)));

  const taken = await restore();
  assert.equal(taken.code, 1);
  assert.match(taken.stderr, /content is not empty, and nothing is overwritten/);
  assert.equal(await isThere(restored), false);
  await rename(content, elsewhere);
  const { code, stderr } = await restore();
  assert.equal(code, 0, stderr);
  const blobsIn = (directory: string) => filesOf(path.join(directory, 'blobs'));
  assert.deepEqual(await blobsIn(content), await blobsIn(elsewhere));
  await appendFile(path.join(backup, blobs[0].path), '!');
  await rm(restored, { recursive: true });
  await rm(content, { recursive: true });
  const damaged = await restore();
  assert.match(damaged.stderr, /hosted\/blobs\/\S+ has \d+ bytes instead of/);
  assert.equal(await isThere(content), false);
});
