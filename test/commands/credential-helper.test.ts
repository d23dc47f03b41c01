import assert from 'node:assert/strict';
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import packageJson from '../../package.json' with { type: 'json' };
import { addKeychain, makeLaptop } from '../support/credential-helper.ts';

const HOST = 'mirror.corp:8443';
const RECORD = '.config/hubgate/logins/mirror.corp%3A8443.json';
const NOT_FOUND = 'credentials not found in native keychain';

function given(server: string, secret = 's3cret'): string {
  return JSON.stringify({ ServerURL: server, Username: 'ana', Secret: secret });
}

test('what docker login stores, only its user can read, and get answers it, whatever the name looks like', async () => {
  await using laptop = await makeLaptop();
  const stored = await laptop.call(['store'], given(`https://${HOST}/v2/`));
  assert.deepEqual(stored, { code: 0, stdout: '', stderr: '' });
  for (const server of [HOST, `https://${HOST}`, `https://${HOST.toUpperCase()}/v1/`, `${HOST}\n`]) {
    const { code, stdout } = await laptop.call(['get'], server);
    assert.equal(code, 0, stdout);
    assert.deepEqual(JSON.parse(stdout), { ServerURL: server.trim(), Username: 'ana', Secret: 's3cret' });
  }
  const file = path.join(laptop.home, RECORD);
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  assert.equal((await stat(path.dirname(file))).mode & 0o777, 0o700);
  assert.deepEqual(JSON.parse((await laptop.call(['list'])).stdout), { [HOST]: 'ana' });
});

test('a login that is not there is answered as docker expects it, and may be erased twice', async () => {
  await using laptop = await makeLaptop();
  for (const server of [HOST, '', 'no host', 'http://mirror.corp', '../../etc/passwd', 'mirror.corp/../x'])
    assert.deepEqual(await laptop.call(['get'], server), { code: 1, stdout: `${NOT_FOUND}\n`, stderr: '' });
  await laptop.call(['store'], given(HOST));
  for (let time = 0; time < 2; time++)
    assert.deepEqual(await laptop.call(['erase'], HOST), { code: 0, stdout: '', stderr: '' });
  assert.equal((await laptop.call(['get'], HOST)).code, 1);
  assert.deepEqual(JSON.parse((await laptop.call(['list'])).stdout), {});
});

test('a password that docker login stored is not sent to a mirror to be revoked', async () => {
  await using laptop = await makeLaptop();
  // Nobody listens there, so a request would fail.
  await laptop.call(['store'], given('localhost:1'));
  assert.deepEqual(await laptop.call(['erase'], 'localhost:1'), { code: 0, stdout: '', stderr: '' });
});

test('where docker has a keychain, the secret is there and in no file; erase takes it out', async () => {
  await using laptop = await makeLaptop();
  await addKeychain(laptop, 'secretservice', 'exit 1');
  await addKeychain(laptop, 'pass', 'cat > "$HOME/keychain"');
  await laptop.call(['store'], given(HOST));
  const record = await readFile(path.join(laptop.home, RECORD), 'utf8');
  assert.doesNotMatch(record, /s3cret/);
  assert.equal(JSON.parse(record).keychain, 'pass');
  const kept = JSON.parse(await readFile(path.join(laptop.home, 'keychain'), 'utf8'));
  // docker itself would store the login under the bare name.
  assert.deepEqual([kept.ServerURL, kept.Secret], [`https://${HOST}/hubgate`, 's3cret']);
  assert.equal(JSON.parse((await laptop.call(['get'], HOST)).stdout).Secret, 's3cret');
  await laptop.call(['erase'], HOST);
  await assert.rejects(stat(path.join(laptop.home, 'keychain')));
});

test('a keychain that keeps nothing is not believed', async () => {
  await using laptop = await makeLaptop();
  await addKeychain(laptop, 'pass', 'cat > /dev/null');
  await laptop.call(['store'], given(HOST));
  assert.equal(JSON.parse((await laptop.call(['get'], HOST)).stdout).Secret, 's3cret');
});

test('a keychain that is locked later is named, and a logout leaves the login in it until it opens', async () => {
  await using laptop = await makeLaptop();
  await addKeychain(laptop, 'pass', 'cat > "$HOME/keychain"');
  await laptop.call(['store'], given(HOST));
  // It says nothing, as that of GNOME does, which even says that it has erased the login.
  const isLocked = '#!/bin/sh\ncase $1 in get) exit 2 ;; esac\n';
  const program = path.join(laptop.programs, 'docker-credential-pass');
  const opened = await readFile(program, 'utf8');
  await writeFile(program, isLocked);
  const { code, stdout } = await laptop.call(['get'], HOST);
  assert.equal(code, 1);
  assert.match(
    stdout,
    /cannot be read: the keychain \(pass\) does not open; unlock it, or run: .* --keychain none/,
  );
  const out = await laptop.call(['erase'], HOST);
  assert.equal(out.code, 1);
  assert.match(
    out.stdout,
    /^the keychain \(pass\) does not open, so the login is still in it: unlock it and log out/,
  );
  await writeFile(program, opened);
  assert.equal((await laptop.call(['get'], HOST)).code, 0);
  assert.equal((await laptop.call(['erase'], HOST)).code, 0);
  await assert.rejects(stat(path.join(laptop.home, 'keychain')));
});

test('a keychain that keeps nothing is named where the secret is then in a file', async () => {
  await using laptop = await makeLaptop();
  assert.equal((await laptop.call(['store'], given(HOST))).stderr, '');
  await addKeychain(laptop, 'secretservice', 'exit 1');
  const { code, stderr } = await laptop.call(['store'], given(HOST));
  assert.equal(code, 0);
  assert.match(stderr, /^The keychain \(secretservice\) keeps nothing: it is locked/);
});

test('a login that is gone from the keychain, or whose keychain is gone, says to log in again', async () => {
  await using laptop = await makeLaptop();
  await addKeychain(laptop, 'pass', 'cat > "$HOME/keychain"');
  await laptop.call(['store'], given(HOST));
  const program = path.join(laptop.programs, 'docker-credential-pass');
  await writeFile(program, `#!/bin/sh\necho ${NOT_FOUND}\nexit 1\n`);
  const gone = await laptop.call(['get'], HOST);
  assert.match(
    gone.stdout,
    /it is not in the keychain \(pass\) any more; run: docker-credential-hubgate login/,
  );
  await rm(program);
  const absent = await laptop.call(['get'], HOST);
  assert.match(
    absent.stdout,
    /docker-credential-pass is not there any more; run: docker-credential-hubgate login/,
  );
  assert.equal((await laptop.call(['erase'], HOST)).code, 0);
  assert.equal((await laptop.call(['get'], HOST)).stdout, `${NOT_FOUND}\n`);
});

test('a password that another keychain keeps from now on is taken out of the earlier one, and of no other', async () => {
  await using laptop = await makeLaptop();
  const secret = async () => JSON.parse((await laptop.call(['get'], HOST)).stdout).Secret;
  for (const next of ['another', 's3cret']) {
    await addKeychain(laptop, 'pass', 'cat > "$HOME/keychain"');
    for (const stored of ['first', 's3cret']) {
      await laptop.call(['store'], given(HOST, stored));
      assert.equal(await secret(), stored);
    }
    await addKeychain(laptop, 'pass', 'exit 1');
    await laptop.call(['store'], given(HOST, next));
    await assert.rejects(stat(path.join(laptop.home, 'keychain')), next);
    assert.equal(await secret(), next);
  }
});

test('a keychain that answers anything else than a secret does not open', async () => {
  await using laptop = await makeLaptop();
  await addKeychain(laptop, 'pass', 'cat > "$HOME/keychain"');
  await laptop.call(['store'], given(HOST));
  for (const said of ['', 'x', 'null', '{}', '{"Secret":7}']) {
    await writeFile(path.join(laptop.home, 'keychain'), said);
    const { code, stdout } = await laptop.call(['get'], HOST);
    assert.equal(code, 1, said);
    assert.match(stdout, /the keychain \(pass\) does not open/);
  }
});

test('docker shows why there is no login, and nothing of a login that was never there', async () => {
  await using laptop = await makeLaptop();
  await addKeychain(laptop, 'pass', 'cat > "$HOME/keychain"');
  await laptop.call(['store'], given(HOST));
  await writeFile(path.join(laptop.programs, 'docker-credential-pass'), '#!/bin/sh\nexit 2\n');
  for (const verb of ['get', 'erase']) {
    const { stdout, stderr } = await laptop.call([verb], HOST);
    assert.match(stderr, /the keychain \(pass\) does not open/);
    assert.equal(stdout, stderr);
  }
  assert.equal((await laptop.call(['get'], 'mirror.other')).stderr, '');
});

test('a login that has ended says what to do', async () => {
  await using laptop = await makeLaptop();
  const file = path.join(laptop.home, RECORD);
  await mkdir(path.dirname(file), { recursive: true });
  const record = { host: HOST, username: 'ana', isIssued: true, id: 'x', keychain: null, secret: 'y' };
  await writeFile(file, JSON.stringify({ ...record, expires: Date.now() - 1 }));
  const { code, stdout } = await laptop.call(['get'], HOST);
  assert.equal(code, 1);
  assert.match(stdout, /your login at mirror\.corp:8443 has ended; run: docker-credential-hubgate login/);
});

test('the helper says its version, which is that of the package, and how it is used', async () => {
  await using laptop = await makeLaptop();
  const { stdout } = await laptop.call(['version']);
  assert.equal(stdout, `docker-credential-hubgate (Hubgate) v${packageJson.version}\n`);
  for (const args of [[], ['constructor'], ['--help']]) {
    const { code, stderr } = await laptop.call(args);
    assert.equal(code, 2);
    assert.match(stderr, /login HOST/);
  }
  for (const args of [['login'], ['login', HOST, '--other', 'x'], ['login', HOST, '--ca']])
    assert.equal((await laptop.call(args)).code, 1);
});

test('what is no JSON is no login', async () => {
  await using laptop = await makeLaptop();
  for (const input of ['', 'x', '{}', '[]', 'null', given('http://mirror.corp')])
    assert.equal((await laptop.call(['store'], input)).code, 1, input);
});

test('a name that moves the cursor of a terminal is escaped', async () => {
  await using laptop = await makeLaptop();
  const said = await laptop.call(['login', HOST, '--ca', 'a\x1b[2Jb\u202e\x9bc']);
  const stderr = 'a\\u001b[2Jb\\u202e\\u009bc is not there\n';
  assert.deepEqual(said, { code: 1, stdout: '', stderr });
});
