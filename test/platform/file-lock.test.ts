import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { withFileLock } from '../../src/platform/file-lock.ts';
import { withLongerDeadlines } from '../support/with-longer-deadlines.ts';

const COUNTER = path.join(import.meta.dirname, '../support/fixtures/count-under-lock.ts');

let directory: string;
let file: string;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-lock-'));
  file = path.join(directory, 'count');
  await writeFile(file, '0');
});

afterEach(() => rm(directory, { recursive: true }));

async function count(times: number): Promise<unknown> {
  const child = spawn(process.execPath, [COUNTER, file, String(times)], { stdio: 'inherit' });
  const [code] = await once(child, 'exit');
  return code;
}

/** The id of a process that there was. */
async function deadProcess(): Promise<number> {
  const child = spawn(process.execPath, ['--version'], { stdio: 'ignore' });
  await once(child, 'exit');
  return child.pid ?? assert.fail();
}

test('several processes that change one file do not lose each other’s changes, and leave nothing behind', async () => {
  assert.deepEqual(await Promise.all([count(40), count(40), count(40), count(40)]), [0, 0, 0, 0]);
  assert.equal(await readFile(file, 'utf8'), '160');
  assert.deepEqual(await readdir(directory), ['count']);
});

test('the lock of a process that has died is taken over, by one of those who find it', async () => {
  await writeFile(`${file}.lock`, `${await deadProcess()} ${hostname()} 0123456789abcdef`);
  assert.deepEqual(await Promise.all([count(25), count(25), count(25)]), [0, 0, 0]);
  assert.equal(await readFile(file, 'utf8'), '75');
  assert.deepEqual(await readdir(directory), ['count']);
});

test('a lock that is held, here or on a machine that cannot be asked, is an error that names it', async () => {
  const elsewhere = `${await deadProcess()} another-machine 0123456789abcdef`;
  for (const holder of [`${process.pid} ${hostname()} 0123456789abcdef`, elsewhere]) {
    await writeFile(`${file}.lock`, holder);
    await assert.rejects(
      withFileLock(file, () => assert.fail('it is held'), 50),
      { name: 'LockedError', message: /^process \d+ on \S+ holds .*count\.lock; .*remove that file$/ },
    );
    assert.equal(await readFile(`${file}.lock`, 'utf8'), holder);
  }
});

/** Waits for a lock that four other holders have, each for half of `patience`. */
async function waitForHolders(patience: number): Promise<void> {
  const lock = `${file}.lock`;
  const hold = async (holder: number) => {
    await writeFile(`${lock}.next`, `${process.pid} ${hostname()} ${holder}`);
    await rename(`${lock}.next`, lock);
  };
  await hold(0);
  const waiting = withFileLock(file, async () => 'free', patience);
  const replacing = (async () => {
    for (let holder = 1; holder <= 3; holder++) {
      await delay(patience / 2);
      await hold(holder);
    }
    await delay(patience / 2);
    await rm(lock);
  })();
  const [waited] = await Promise.allSettled([waiting, replacing]);
  assert.deepEqual(waited, { status: 'fulfilled', value: 'free' });
}

test('each holder of a lock has the whole time, so that many commands at once wait for each other', () =>
  withLongerDeadlines(200, waitForHolders));

test('what fails under a lock lets go of it', async () => {
  await assert.rejects(
    withFileLock(file, () => Promise.reject(new Error('as it goes'))),
    /as it goes/,
  );
  assert.equal(await withFileLock(file, async () => 'free', 0), 'free');
});
