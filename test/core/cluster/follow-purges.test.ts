import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import type { PendingPurge } from '../../../src/cluster/purges.ts';
import { FollowedPurges } from '../../../src/core/cluster/follow-purges.ts';
import { PURGES_AT_ONCE } from '../../../src/core/cluster/limits.ts';
import { blobFile } from '../../../src/core/store/layout.ts';
import { openStore, type Store } from '../../../src/core/store/store.ts';
import { type Digest, sha256Of } from '../../../src/registry/digest.ts';
import { QUIET } from '../../support/test-core.ts';
import { waitFor } from '../../support/wait-for.ts';

const NEVER = 2 ** 30;

let directory: string;
let store: Store;
let pending: PendingPurge[];
let onDone: (digest: Digest) => void;
const arriving = new Set<Digest>();

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-purges-'));
  store = await openStore(directory, QUIET, Date.now);
  pending = [];
  onDone = () => {};
  arriving.clear();
});

afterEach(async () => {
  await store[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

/** Puts content on the disk, and into the list of what is to be removed. */
async function purged(name: string): Promise<Digest> {
  const bytes = Buffer.from(name);
  const digest = sha256Of(bytes);
  await store.content.publish(digest, bytes);
  pending.push({ digest, fence: pending.length + 1 });
  return digest;
}

const isHere = async (digest: Digest) => (await store.content.peek(digest)) !== undefined;

/** Follows the list. Resolves to a function that tells that it has changed. */
function follow(stack: AsyncDisposableStack, retryPurges = NEVER): () => void {
  let tell = () => {};
  const purges = {
    pending: async (after: number, limit: number) =>
      pending.filter(({ fence }) => fence > after).slice(0, limit),
    done: async (purge: PendingPurge) => {
      pending = pending.filter((one) => one !== purge);
      onDone(purge.digest);
    },
  };
  const notifications = {
    on: (_: string, handler: (payload: string) => void) => {
      tell = () => handler('');
    },
  };
  const isArriving = (digest: Digest) => arriving.has(digest);
  stack.use(
    new FollowedPurges({ purges, notifications, store, isArriving, limits: { retryPurges }, log: QUIET }),
  );
  return tell;
}

test('content that begins to arrive while others are removed stays until the next run', async () => {
  await using stack = new AsyncDisposableStack();
  const [first, second, third] = [await purged('first'), await purged('second'), await purged('third')];
  onDone = (digest) => {
    if (digest === first) arriving.add(second);
  };
  const tell = follow(stack);
  await waitFor(async () => !(await isHere(third)));
  assert.equal(await isHere(second), true);
  arriving.clear();
  tell();
  await waitFor(() => pending.length === 0);
  assert.equal(await isHere(second), false);
});

test('content that was arriving is removed a little later, without another purge', async () => {
  await using stack = new AsyncDisposableStack();
  const [first, second] = [await purged('first'), await purged('second')];
  arriving.add(first);
  follow(stack, 10);
  await waitFor(async () => !(await isHere(second)));
  assert.equal(await isHere(first), true);
  arriving.clear();
  await waitFor(async () => !(await isHere(first)));
});

test('content that cannot be removed does not hold up the rest, however much there is of it', async () => {
  await using stack = new AsyncDisposableStack();
  const broken = Array.from({ length: PURGES_AT_ONCE }, (_, index) =>
    sha256Of(Buffer.from(`broken ${index}`)),
  );
  for (const digest of broken) {
    // A directory cannot be removed as a file.
    await mkdir(path.join(directory, blobFile(digest)), { recursive: true });
    pending.push({ digest, fence: pending.length + 1 });
  }
  const last = await purged('last');
  follow(stack);
  await waitFor(async () => !(await isHere(last)));
  assert.deepEqual(
    pending.map(({ digest }) => digest),
    broken,
  );
});
