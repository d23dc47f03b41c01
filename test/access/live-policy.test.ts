import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { appendFile, mkdir, mkdtemp, open, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { promisify } from 'node:util';
import { readPolicy } from '../../src/access/load-policy.ts';
import { type WatchedPolicy, watchPolicy } from '../../src/access/policy-watcher.ts';
import { FaultsError } from '../../src/platform/fault.ts';
import { type LoggedLine, testLog } from '../support/test-log.ts';
import { waitFor } from '../support/wait-for.ts';
import { FORMS, NOW } from './support/policy.ts';

let home: string;
let file: string;
let log: LoggedLine[];
let followed: WatchedPolicy | undefined;

beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'hubgate-policy-'));
  file = path.join(home, 'access.yaml');
  log = [];
});

afterEach(async () => {
  followed?.[Symbol.dispose]();
  // The last policy may still be stored for the next start.
  await rm(home, { recursive: true, maxRetries: 20 });
});

const rules = (...ids: string[]) =>
  `version: 1\nallow:\n${ids.map((id) => `  - { id: ${id}, pull: acme/${id}, to: ana }\n`).join('')}...\n`;

async function follow(): Promise<WatchedPolicy> {
  followed?.[Symbol.dispose]();
  const lastGood = path.join(home, 'state/last-good-policy.json');
  followed = await watchPolicy({
    file,
    lastGood,
    context: { forms: FORMS },
    log: testLog(log),
    clock: () => NOW,
  });
  return followed;
}

const idsOf = ({ current }: WatchedPolicy) => current.data.rules.map(({ id }) => id).join();

test('every way of writing is seen: in place, renamed over, and by a symbolic link that leads elsewhere', async () => {
  const inPlace = (text: string) => writeFile(file, text);
  const renamed = async (text: string) => {
    await writeFile(`${file}.new`, text);
    await rename(`${file}.new`, file);
  };
  // As Kubernetes mounts a ConfigMap: the name stays a link into `..data`, which is exchanged.
  let turn = 0;
  const swapped = async (text: string) => {
    const directory = path.join(home, `..${turn++}`);
    await mkdir(directory);
    await writeFile(path.join(directory, 'access.yaml'), text);
    await symlink(directory, path.join(home, '..new'));
    await rename(path.join(home, '..new'), path.join(home, '..data'));
    await rm(file, { force: true });
    await symlink('..data/access.yaml', file);
  };
  await swapped(rules('first'));
  const policy = await follow();
  let number = 0;
  for (const write of [swapped, swapped, renamed, inPlace, renamed, inPlace, inPlace]) {
    const id = `edit-${number++}`;
    await write(rules(id));
    await waitFor(() => idsOf(policy) === id);
  }
});

test('files of access.d come and go; their order means nothing; what is hidden is none, and .yml is an error', async () => {
  await writeFile(file, rules('base'));
  const policy = await follow();
  const directory = path.join(home, 'access.d');
  await mkdir(directory);
  await writeFile(path.join(directory, 'b.yaml'), rules('b'));
  await writeFile(path.join(directory, '.a.yaml.swp'), 'no policy');
  await writeFile(path.join(directory, '.a.yaml'), 'no policy');
  await writeFile(path.join(directory, 'a.yaml~'), 'no policy');
  await waitFor(() => idsOf(policy) === 'base,b');
  await writeFile(path.join(directory, 'a.yaml'), rules('a'));
  await waitFor(() => idsOf(policy) === 'base,a,b');
  await rm(file);
  await waitFor(() => idsOf(policy) === 'a,b');
  await writeFile(path.join(directory, 'c.yml'), rules('c'));
  await waitFor(() => policy.status.refused !== null);
  assert.match(policy.status.refused?.[0] ?? '', /c\.yml: is not read; its name must end in \.yaml/);
  assert.equal(idsOf(policy), 'a,b');
});

test('invariant 13: the last good policy holds while the files are refused, and over a start', async () => {
  await writeFile(file, rules('good'));
  const policy = await follow();
  for (const broken of [
    'version: 1\nallow:\n',
    `${rules('x').slice(0, -4)}tests: [{ who: bo, pull: x, expect: allow }]\n...\n`,
  ]) {
    const before = policy.status.refusals;
    await writeFile(file, broken);
    await waitFor(() => policy.status.refusals > before);
    assert.equal(idsOf(policy), 'good');
    assert.ok(log.some(({ level, msg }) => level === 50 && /refused; the last good one holds/.test(msg)));
  }
  assert.match(policy.status.refused?.[0] ?? '', /access\.yaml:4:\d+: this test expects allow/);
  const restarted = await follow();
  assert.equal(idsOf(restarted), 'good');
  assert.equal(restarted.status.refused?.length, 1);
  await writeFile(file, rules('mended'));
  await waitFor(() => idsOf(restarted) === 'mended');
  assert.equal(restarted.status.refused, null);
  await rm(file);
  await waitFor(() => restarted.status.refused !== null);
  assert.equal(idsOf(await follow()), 'mended');
});

test('a first start with a policy that is wrong, or without one, says so; a damaged memory of the last one is none', async () => {
  await assert.rejects(follow(), FaultsError);
  await writeFile(file, rules('x').slice(0, -4));
  await assert.rejects(follow(), /half-written/);
  await writeFile(file, rules('x'));
  await follow();
  await writeFile(path.join(home, 'state/last-good-policy.json'), '{"version":');
  await writeFile(file, 'version: 2\n...\n');
  await assert.rejects(follow(), /expected 1/);
});

test('a file that somebody is writing over is not used before it keeps still: at any moment it is a policy of two halves', async () => {
  const ids = (name: string) => Array.from({ length: 40 }, (_, index) => `${name}-${10 + index}`);
  await writeFile(file, rules(...ids('old')));
  const policy = await follow();
  const seen = new Set<string>();
  const looking = (async () => {
    while (idsOf(policy) !== ids('new').join()) {
      await policy.changed();
      seen.add(idsOf(policy));
    }
  })();
  const handle = await open(file, 'r+');
  let at = 0;
  for (const line of rules(...ids('new')).split(/(?<=\n)/)) {
    await handle.write(line, at);
    at += line.length;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await handle.close();
  await looking;
  assert.deepEqual([...seen], [ids('new').join()]);
});

test('files that are exchanged while they are read are read again: no policy is of two versions', async () => {
  const NAMES = Array.from({ length: 30 }, (_, index) => `file-${10 + index}`);
  for (const version of ['a', 'b']) {
    const directory = path.join(home, `..${version}/access.d`);
    await mkdir(directory, { recursive: true });
    for (const name of NAMES)
      await writeFile(path.join(directory, `${name}.yaml`), rules(`${version}-${name}`));
  }
  await symlink('..a', path.join(home, '..data'));
  await symlink('..data/access.d', path.join(home, 'access.d'));
  let isOver = false;
  const exchanging = (async () => {
    for (let turn = 0; !isOver; turn++) {
      await symlink(turn % 2 === 0 ? '..b' : '..a', path.join(home, '..next'));
      await rename(path.join(home, '..next'), path.join(home, '..data'));
      // Sometimes it is quiet for long enough to be read.
      if (turn % 5 === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    }
  })();
  const versionsRead = async () => {
    const read = await readPolicy(file, NOW, { forms: FORMS });
    return 'value' in read ? new Set(read.value.policy.data.rules.map(({ id }) => id[0])).size : 0;
  };
  for (let turn = 0; turn < 100; turn++) assert.ok((await versionsRead()) <= 1);
  isOver = true;
  await exchanging;
  assert.equal(await versionsRead(), 1);
});

test('a file that is another one after it was read is not used, however often it is read', async () => {
  await writeFile(file, rules('first'));
  let isOver = false;
  const writing = (async () => {
    for (let turn = 0; !isOver; turn++) {
      await writeFile(`${file}.new`, `${'#'.repeat(turn % 1000)}\n${rules('second')}`);
      await rename(`${file}.new`, file);
    }
  })();
  try {
    await waitFor(async () => {
      const read = await readPolicy(file, NOW, { forms: FORMS });
      return (
        'faults' in read && /changes again and again while it is read/.test(read.faults[0]?.message ?? '')
      );
    });
  } finally {
    isOver = true;
    await writing;
  }
});

test('a policy file or directory that cannot be read is a fault, and not a file that is absent', async () => {
  const directory = path.join(home, 'access.d');
  const deny = 'version: 1\ndeny:\n  - { id: deny, pull: acme/secret, to: ana }\n...\n';
  const away = (name: string) => rename(name, `${name}.away`);
  const back = async (name: string) => {
    await rm(name, { recursive: true, force: true });
    await rename(`${name}.away`, name);
  };
  const instead: Readonly<Record<string, (name: string) => Promise<unknown>>> = {
    'a link to itself': (name) => symlink(path.basename(name), name),
    'a link to nothing': (name) => symlink('not-there', name),
    'another kind of file': (name) => (name === directory ? writeFile(name, '') : mkdir(name)),
    'a FIFO': (name) => promisify(execFile)('mkfifo', [name]),
  };
  await mkdir(directory);
  await writeFile(file, rules('allow'));
  await writeFile(path.join(directory, 'deny.yaml'), deny);
  const policy = await follow();
  assert.equal(idsOf(policy), 'allow,deny');
  for (const name of [file, directory]) {
    for (const [what, put] of Object.entries(instead)) {
      let held = '';
      // The policy can be read at the moment when the name is free, and then the deny is really absent.
      for (let attempt = 0; attempt < 5 && held !== 'allow,deny'; attempt++) {
        const before = policy.status.refusals;
        await away(name);
        await put(name);
        await policy.look();
        assert.ok(policy.status.refusals > before, `${name} is ${what}`);
        assert.match(policy.status.refused?.[0] ?? '', /access\.(yaml|d): cannot be read: /);
        held = idsOf(policy);
        await back(name);
        await waitFor(async () => {
          await policy.look();
          return policy.status.refused === null && idsOf(policy) === 'allow,deny';
        });
      }
      assert.equal(held, 'allow,deny', `${name} is ${what}`);
    }
  }
});

test('it is looked at again when somebody says so', async () => {
  await writeFile(file, rules('first'));
  const policy = await follow();
  await writeFile(file, rules('second'));
  await policy.look();
  assert.equal(idsOf(policy), 'second');
  await appendFile(file, 'junk');
  await policy.look();
  assert.equal(policy.status.refusals > 0, true);
});
