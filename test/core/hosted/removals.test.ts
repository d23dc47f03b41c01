/** What retention and the collection remove reaches the audit log by way of the gateways. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { openHosted } from '../../../src/core/hosted/hosted.ts';
import { recordRemovals } from '../../../src/gateway/audit/record-removals.ts';
import { openSocketClient } from '../../../src/platform/ipc/http-client.ts';
import type { AuditLine } from '../../../src/protocol/audit-line.ts';
import type { FetchedRemovals } from '../../../src/protocol/hosted-api.ts';
import { sha256Of } from '../../../src/registry/digest.ts';
import { digestOf, HostedCore } from '../../support/hosted-core.ts';
import { QUIET } from '../../support/test-core.ts';
import { type LoggedLine, testLog } from '../../support/test-log.ts';
import { waitFor } from '../../support/wait-for.ts';

const DAY = 24 * 60 * 60_000;
const EVERY = 5;

async function collect(core: HostedCore): Promise<void> {
  const send = JSON.stringify({ dryRun: false });
  const { status } = await core.core.send({ method: 'POST', path: '/hosted-repositories/collect', send });
  assert.equal(status, 200);
}

async function fetchRemovals(core: HostedCore, written: number | null = null): Promise<FetchedRemovals> {
  const { status, body } = await core.core.send({
    ...{ method: 'POST', path: '/hosted-repositories/removals', send: JSON.stringify({ written }) },
  });
  assert.equal(status, 200);
  return JSON.parse(body.toString());
}

test('what is removed, and why, is there until it is in the audit log, also after a restart', async () => {
  await using core = await HostedCore.start({ retention: { keepLast: 1 } });
  const abandoned = await core.pushBlob('abandoned');
  const old = await core.pushImage('old', 'old layer');
  core.core.now += 1;
  await core.pushImage('new', 'new layer');
  assert.deepEqual(await fetchRemovals(core), []);
  core.core.now += 2 * DAY;
  await collect(core);
  await core.restart();
  const expected = [
    {
      ...{ id: 1, repository: 'acme/app', tag: 'old', digest: digestOf(old), credential: 'retention' },
      reason: 'it is not one of the newest 1 tags',
    },
    {
      ...{ id: 2, repository: 'acme/app', tag: null, digest: abandoned, credential: 'collection' },
      reason: 'no manifest names it',
    },
  ];
  assert.deepEqual(await fetchRemovals(core), expected);
  // While one gateway writes them, another one gets none.
  assert.deepEqual(await fetchRemovals(core), []);
  assert.deepEqual(await fetchRemovals(core, 1), []);
  await core.restart();
  assert.deepEqual(await fetchRemovals(core), expected.slice(1));
  assert.deepEqual(await fetchRemovals(core, 2), []);
  await core.restart();
  assert.deepEqual(await fetchRemovals(core), []);
});

test('an untagged manifest that retention removes, and a manifest that the collection removes, are recorded', async () => {
  await using core = await HostedCore.start({ retention: { untaggedAfter: DAY } });
  const untagged = await core.pushImage('moved', 'first layer');
  await core.write('DELETE', 'manifests/moved');
  const subject = await core.pushImage('signed', 'second layer');
  const signature = await core.pushImage(
    'sig',
    'signature',
    {},
    {
      subject: {
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        digest: digestOf(subject),
        size: 1,
      },
    },
  );
  await core.write('DELETE', 'manifests/sig');
  await core.write('DELETE', `manifests/${digestOf(subject)}`);
  core.core.now += 30 * DAY;
  await collect(core);
  const manifests = (await fetchRemovals(core)).filter(({ digest }) =>
    [untagged, signature].some((one) => digestOf(one) === digest),
  );
  assert.deepEqual(
    manifests.map(({ digest, credential, reason }) => [digest, credential, reason]),
    [
      [digestOf(untagged), 'retention', 'it has no tag'],
      [digestOf(signature), 'retention', 'it has no tag'],
    ].toSorted(([one = ''], [other = '']) => (one < other ? -1 : 1)),
  );
});

test('each removal is recorded once, however many gateways there are', async () => {
  await using core = await HostedCore.start();
  const digests: string[] = [];
  for (let count = 0; count < 7; count++) digests.push(await core.pushBlob(`abandoned ${count}`));
  core.core.now += 2 * DAY;
  await using stack = new AsyncDisposableStack();
  const lines: AuditLine[] = [];
  for (let gateway = 0; gateway < 3; gateway++) {
    const client = stack.use(openSocketClient(path.join(core.core.directory, 'core.sock')));
    stack.use(recordRemovals(client, (line) => lines.push(line), QUIET, EVERY));
  }
  await collect(core);
  await waitFor(() => lines.length >= digests.length);
  await waitFor(async () => (await fetchRemovals(core)).length === 0);
  assert.deepEqual(lines.map(({ digest = '' }) => digest).sort(), digests.sort());
  assert.deepEqual(lines[0], {
    ...{ action: 'delete', subject: 'hubgate', credential: 'collection', address: 'local' },
    ...{ method: 'DELETE', repository: 'hosted/acme/app', digest: lines[0]?.digest, decision: 'allow' },
    ...{ status: 202, reason: 'no manifest names it', milliseconds: 0 },
  });
});

test('removals that no gateway fetches are bounded, and the log says that some are lost', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-removals-'));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rm(directory, { recursive: true }));
  const lines: LoggedLine[] = [];
  let now = 0;
  const namespaces = [{ name: 'acme', immutableTags: [] }];
  const hosted = stack.use(await openHosted({ directory, namespaces }, testLog(lines), () => now));
  const digest = sha256Of(Buffer.from('abandoned'));
  await hosted.database.change(function* ({ select, change }) {
    for (let count = 0; count < 10_002; count++)
      yield* change.addRemoval.run('acme/app', null, digest, 'collection', 'no manifest names it');
    yield* change.addRepository.run('acme/app');
    const id = (yield* select.repository.get('acme/app'))?.id ?? 0;
    yield* change.putBlob.run(id, digest, 1, 0);
    yield* change.putCandidate.run(id, digest, 0);
  });
  now = 2 * DAY;
  assert.equal(await hosted.collection.collect(), 1);
  const waiting = await hosted.database.read((select) => select.removals.all(20_000));
  assert.deepEqual([waiting.length, waiting[0]?.id, waiting.at(-1)?.id], [10_000, 4, 10_003]);
  assert.deepEqual(
    lines.filter(({ msg }) => msg.startsWith('audit lines were lost')).map((line) => line.lines),
    [3],
  );
});
