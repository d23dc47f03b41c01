import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { scrub } from '../../../src/core/store/scrub.ts';
import { openStore, type Store } from '../../../src/core/store/store.ts';
import { type Digest, sha256Of } from '../../../src/registry/digest.ts';
import { type LoggedLine, testLog } from '../../support/test-log.ts';
import { waitFor } from '../../support/wait-for.ts';

/** So much that the pause after it is far longer than this test takes. */
const SIZE = 16 * 1024 * 1024;
const MONTH = 31 * 24 * 3_600_000;
/** Milliseconds in which a scrub that does not pause compares the next content. */
const WITHOUT_PAUSE = 400;

let directory: string;
let store: Store;
let log: LoggedLine[];

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-scrub-'));
  log = [];
  store = await openStore(directory, testLog(log), Date.now);
});

afterEach(async () => {
  await store[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

function asideOf(digest: Digest): string {
  return path.join(directory, 'aside', digest.replace(':', '-'));
}

/** Publishes content of `size` bytes, and spoils it without changing its size. */
async function publishSpoiled(size: number): Promise<Digest> {
  const bytes = randomBytes(size);
  const digest = sha256Of(bytes);
  await store.content.publish(digest, bytes);
  const hex = digest.slice('sha256:'.length);
  await writeFile(path.join(directory, 'blobs/sha256', hex.slice(0, 2), hex), Buffer.alloc(size));
  return digest;
}

test('the scrub pauses after content for as long as its pace says, so that it takes no disk from pulls', async () => {
  for (let count = 0; count < 2; count++) await publishSpoiled(SIZE);
  const aside = () => readdir(path.join(directory, 'aside'));
  await using _scrubbing = scrub({ store, clock: () => Date.now() + MONTH, log: testLog(log) });
  await waitFor(async () => (await aside()).length > 0);
  await delay(WITHOUT_PAUSE);
  assert.equal((await aside()).length, 1);
});

test('the scrub pauses after content that it cannot set aside, so that a broken disk fills no log', async () => {
  for (let count = 0; count < 3; count++)
    await mkdir(path.join(asideOf(await publishSpoiled(10)), 'in-the-way'), { recursive: true });
  const failures = () => log.filter(({ msg }) => msg.endsWith('cannot be compared with its digest')).length;
  await using _scrubbing = scrub({ store, clock: () => Date.now() + MONTH, log: testLog(log) });
  await waitFor(() => failures() > 0);
  await delay(WITHOUT_PAUSE);
  assert.equal(failures(), 1);
});
