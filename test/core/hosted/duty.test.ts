import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { openHosted } from '../../../src/core/hosted/hosted.ts';
import type { HostedFiles } from '../../../src/core/hosted/hosted-files.ts';
import { SqliteHostedDatabase } from '../../../src/core/hosted/sqlite-hosted-database.ts';
import { sha256Of } from '../../../src/registry/digest.ts';
import { uploadOwner } from '../../../src/registry/upload-id.ts';
import { QUIET } from '../../support/test-core.ts';
import { waitFor } from '../../support/wait-for.ts';

test('a node that is not on duty neither collects nor gives removals to the audit log', async () => {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-duty-'));
  stack.defer(() => rm(directory, { recursive: true }));
  const database = stack.use(await SqliteHostedDatabase.open(directory, QUIET));
  let isOnDuty = false;
  let asked = 0;
  const duty = {
    take: async () => {
      asked++;
      return isOnDuty ? new AbortController().signal : undefined;
    },
  };
  const options = { directory, namespaces: [{ name: 'acme', immutableTags: [] }], collectEvery: 1 };
  const owner = uploadOwner('n1');
  const node = { owner, database, duty, openContent: (_: unknown, files: HostedFiles) => files };
  const hosted = stack.use(await openHosted(options, QUIET, () => 1, node));
  await database.change(function* ({ select, change }) {
    yield* change.addRepository.run('acme/app');
    const id = (yield* select.repository.get('acme/app'))?.id ?? 0;
    const digest = sha256Of(Buffer.from('abandoned'));
    yield* change.putBlob.run(id, digest, 9, 0);
    yield* change.putCandidate.run(id, digest, 0);
    yield* change.addRemoval.run('acme/app', null, digest, 'retention', 'it has no tag');
  });
  const used = async () => (await database.read((select) => select.used.get('acme')))?.bytes;
  // The task after a question has ended before the next question.
  const before = asked;
  await waitFor(() => asked > before + 3);
  assert.equal(await used(), 9);
  assert.deepEqual(await hosted.removals.next(undefined), []);
  isOnDuty = true;
  await waitFor(async () => (await used()) === 0);
  assert.notDeepEqual(await hosted.removals.next(undefined), []);
});
