import assert from 'node:assert/strict';
import { readdir, utimes, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { openHosted } from '../../../src/core/hosted/hosted.ts';
import type { CollectedContent } from '../../../src/protocol/hosted-api.ts';
import { parseDigest } from '../../../src/registry/digest.ts';
import { digestOf, HostedCore, type HostedRequest, imageOf, OCI_INDEX } from '../../support/hosted-core.ts';
import { QUIET } from '../../support/test-core.ts';
import { waitFor } from '../../support/wait-for.ts';

const HOUR = 60 * 60_000;
const DAY = 24 * HOUR;

const index = (more: object = {}) =>
  JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [], ...more });

async function collect(core: HostedCore, dryRun = false): Promise<readonly CollectedContent[]> {
  const { status, body } = await core.core.send({
    ...{ method: 'POST', path: '/hosted-repositories/collect', send: JSON.stringify({ dryRun }) },
  });
  assert.equal(status, 200);
  return JSON.parse(body.toString());
}

async function has(core: HostedCore, resource: string, request: HostedRequest = {}): Promise<boolean> {
  // A GET, because a HEAD renews the lease.
  return (await core.read(resource, request)).status === 200;
}

/** Returns the names of the files of blobs. */
async function files(core: HostedCore): Promise<readonly string[]> {
  const entries = await readdir(`${core.directory}/blobs/sha256`, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ name }) => `sha256:${name}`);
}

test('a blob without a manifest is kept for a day, and then it and its file go', async () => {
  await using core = await HostedCore.start();
  const digest = await core.pushBlob('abandoned');
  core.core.now += DAY - 1;
  const [kept] = await collect(core);
  assert.deepEqual([kept?.action, kept?.why], ['wait', 'its manifest may still come']);
  assert.ok(await has(core, `blobs/${digest}`));
  core.core.now += 2;
  const [dry] = await collect(core, true);
  assert.deepEqual([dry?.action, dry?.why], ['remove-blob', 'no manifest names it']);
  assert.ok(await has(core, `blobs/${digest}`));
  await collect(core);
  assert.ok(!(await has(core, `blobs/${digest}`)));
  assert.deepEqual(await files(core), []);
  assert.deepEqual(await collect(core, true), []);
});

test('a HEAD that finds a blob, and a mount of it, keep it for another day', async () => {
  await using core = await HostedCore.start();
  const digest = await core.pushBlob('found');
  const mounted = await core.pushBlob('mounted', { repository: 'acme/base' });
  core.core.now += DAY - HOUR;
  assert.equal((await core.read(`blobs/${digest}`, { method: 'HEAD' })).status, 200);
  const from = { headers: { 'hubgate-mount-from': 'hosted acme/base private' }, body: '' };
  assert.equal((await core.write('POST', `blobs/uploads/?mount=${mounted}`, from)).status, 201);
  core.core.now += 2 * HOUR;
  await collect(core);
  assert.ok(await has(core, `blobs/${digest}`));
  assert.ok(await has(core, `blobs/${mounted}`));
  assert.ok(!(await has(core, `blobs/${mounted}`, { repository: 'acme/base' })));
  assert.equal((await core.pushManifest('1.0', imageOf(digest, mounted, 7))).status, 201);
  core.core.now += 2 * DAY;
  await collect(core);
  assert.ok(await has(core, `blobs/${mounted}`));
});

test('the blobs of a deleted manifest stay for a day, and those of another one for ever', async () => {
  await using core = await HostedCore.start();
  const first = await core.pushImage('1.0', 'first');
  await core.pushImage('2.0', 'second');
  core.core.now += 2 * DAY;
  await collect(core);
  await core.write('DELETE', `manifests/${digestOf(first)}`);
  await collect(core);
  assert.ok(await has(core, `blobs/${digestOf('first')}`));
  core.core.now += DAY + 1;
  await collect(core);
  assert.ok(!(await has(core, `blobs/${digestOf('first')}`)));
  assert.ok(await has(core, `blobs/${digestOf('second')}`));
  assert.ok(await has(core, `blobs/${digestOf('{}')}`));
});

test('a layer that need not be here stays with its image if somebody has pushed it', async () => {
  await using core = await HostedCore.start();
  const config = await core.pushBlob('{}');
  const [layer, late] = [await core.pushBlob('a layer of Windows'), digestOf('pushed after its image')];
  const mediaType = 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip';
  const layers = [layer, late].map((digest) => ({ mediaType, digest, size: 18, urls: [] }));
  const image = imageOf(config, layer, 18, { layers });
  assert.equal((await core.pushManifest('1.0', image)).status, 201);
  await core.pushBlob('pushed after its image');
  assert.equal((await core.pushManifest('1.0', image)).status, 201);
  core.core.now += 2 * DAY;
  await collect(core);
  for (const digest of [layer, late]) {
    assert.ok(await has(core, `blobs/${digest}`));
    assert.equal((await core.write('DELETE', `blobs/${digest}`)).status, 403);
  }
});

test('what an index names as a manifest may be a blob, as in a cache of BuildKit, and stays with it', async () => {
  await using core = await HostedCore.start();
  const layer = await core.pushBlob('a layer of the cache');
  const cache = index({
    manifests: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: layer, size: 20 }],
  });
  assert.equal((await core.pushManifest('cache', cache)).status, 201);
  core.core.now += 2 * DAY;
  await collect(core);
  assert.ok(await has(core, `blobs/${layer}`));
  await core.write('DELETE', `manifests/${digestOf(cache)}`);
  core.core.now += DAY + 1;
  await collect(core);
  assert.ok(!(await has(core, `blobs/${layer}`)));
});

test('a file stays as long as one repository has it', async () => {
  await using core = await HostedCore.start();
  const digest = await core.pushBlob('shared');
  core.core.now += HOUR;
  await core.pushBlob('shared', { repository: 'acme/other' });
  core.core.now += DAY - HOUR + 1;
  await collect(core);
  assert.ok(!(await has(core, `blobs/${digest}`)));
  assert.deepEqual(await files(core), [digest]);
  core.core.now += HOUR;
  await collect(core);
  assert.deepEqual(await files(core), []);
});

test('the children of a deleted index and the referrers of a deleted subject stay for a week', async () => {
  await using core = await HostedCore.start();
  const child = digestOf(index({ annotations: { a: 'child' } }));
  await core.pushManifest(child, index({ annotations: { a: 'child' } }));
  const descriptor = { mediaType: OCI_INDEX, digest: child, size: 1 };
  const parent = index({ manifests: [descriptor] });
  await core.pushManifest('1.0', parent);
  const subject = { mediaType: OCI_INDEX, digest: digestOf(parent), size: parent.length };
  const referrer = index({ subject });
  await core.pushManifest(digestOf(referrer), referrer);
  core.core.now += 30 * DAY;
  await collect(core);
  await core.write('DELETE', `manifests/${digestOf(parent)}`);
  core.core.now += 7 * DAY - 1;
  await collect(core);
  for (const digest of [child, digestOf(referrer)]) assert.ok(await has(core, `manifests/${digest}`));
  // What was used within a day is not collected.
  core.core.now += DAY + 1;
  await collect(core);
  for (const digest of [child, digestOf(referrer)]) assert.ok(!(await has(core, `manifests/${digest}`)));
});

test('a manifest that was pushed by its digest stays, because somebody may pull it so', async () => {
  await using core = await HostedCore.start();
  await core.pushManifest(digestOf(index()), index());
  core.core.now += 365 * DAY;
  await collect(core);
  assert.ok(await has(core, `manifests/${digestOf(index())}`));
});

test('a manifest stays whose bytes somebody has pushed as a blob too', async () => {
  await using core = await HostedCore.start();
  await core.pushBlob(index());
  await core.pushManifest(digestOf(index()), index());
  core.core.now += 2 * DAY;
  await collect(core);
  await collect(core);
  assert.ok(!(await has(core, `blobs/${digestOf(index())}`)));
  assert.ok(await has(core, `manifests/${digestOf(index())}`));
});

test('retention removes what has no tag, and spares what can be restored', async () => {
  await using core = await HostedCore.start({ retention: { untaggedAfter: 3 * DAY } });
  const [first, second] = [index(), index({ annotations: { a: 'b' } })];
  await core.pushManifest('latest', first);
  core.core.now += 30 * DAY;
  await core.pushManifest('latest', second);
  core.core.now += 7 * DAY - 1;
  assert.deepEqual(await collect(core, true), []);
  core.core.now += 2;
  assert.deepEqual(
    (await collect(core, true)).map(({ action }) => action),
    ['remove-manifest'],
  );
  await collect(core);
  assert.ok(!(await has(core, `manifests/${digestOf(first)}`)));
  assert.ok(await has(core, `manifests/${digestOf(second)}`));
});

test('a manifest that a HEAD has found by its digest stays for a day, so that an index can name it', async () => {
  const child = index({ annotations: { a: 'child' } });
  const named = index({ manifests: [{ mediaType: OCI_INDEX, digest: digestOf(child), size: child.length }] });
  const collected = async (core: HostedCore) => {
    // A pull is noted too, so the HEAD has to be noted within a day after it.
    assert.ok(await has(core, `manifests/${digestOf(child)}`));
    core.core.now += 20 * HOUR;
    assert.equal((await core.read(`manifests/${digestOf(child)}`, { method: 'HEAD' })).status, 200);
    core.core.now += 5 * HOUR;
    await collect(core);
    return core.pushManifest('2.0', named);
  };
  await using core = await HostedCore.start();
  await core.pushManifest(digestOf(child), child);
  await core.pushManifest('1.0', named);
  await core.write('DELETE', `manifests/${digestOf(named)}`);
  core.core.now += 7 * DAY - 22 * HOUR;
  assert.equal((await collected(core)).status, 201);
  await using retaining = await HostedCore.start({ retention: { untaggedAfter: 3 * DAY } });
  await retaining.pushManifest(digestOf(child), child);
  retaining.core.now += 3 * DAY - 22 * HOUR;
  assert.equal((await collected(retaining)).status, 201);
});

test('retention spares the manifests of an index that was deleted within the last week', async () => {
  await using core = await HostedCore.start({ retention: { untaggedAfter: 3 * DAY } });
  const child = index({ annotations: { a: 'child' } });
  const named = index({ manifests: [{ mediaType: OCI_INDEX, digest: digestOf(child), size: child.length }] });
  await core.pushManifest(digestOf(child), child);
  await core.pushManifest('1.0', named);
  core.core.now += 30 * DAY;
  await core.write('DELETE', `manifests/${digestOf(named)}`);
  await collect(core);
  core.core.now += 6 * DAY;
  await collect(core);
  assert.ok(await has(core, `manifests/${digestOf(child)}`));
});

test('a blob whose manifest is deleted between the search for what is due and its judgement stays for a day', async () => {
  await using core = await HostedCore.start();
  const digest = parseDigest(digestOf(await core.pushImage('1.0', 'layer')));
  assert.ok(digest !== undefined);
  core.core.now += DAY + 1;
  await core.core.restart({}, async () => {
    const options = { directory: core.directory, namespaces: [] };
    await using hosted = await openHosted(options, QUIET, () => core.core.now);
    const collecting = hosted.collection.collect();
    const by = { subject: 'user:ana', credential: 'c1' };
    const removed = await hosted.removal.manifest('acme/app', { kind: 'digest', digest }, by);
    assert.equal(removed.kind, 'removed');
    await collecting;
  });
  assert.ok(await has(core, `blobs/${digestOf('layer')}`));
  core.core.now += DAY + 1;
  await collect(core);
  assert.ok(!(await has(core, `blobs/${digestOf('layer')}`)));
});

test('retention keeps the newest tags, and those that somebody uses', async () => {
  const retention = { keepLast: 2, tags: ['pr-*'], unusedFor: 30 * DAY };
  await using core = await HostedCore.start({ retention, immutableTags: ['pr-*'] });
  for (const at of [1, 2, 3, 4]) {
    await core.pushManifest(`pr-${at}`, index({ annotations: { at: `${at}` } }));
    core.core.now += 1;
  }
  await core.pushManifest('1.0', index());
  core.core.now += 20 * DAY;
  assert.equal((await core.read('manifests/pr-2')).status, 200);
  core.core.now += 11 * DAY;
  const due = (await collect(core)).filter(({ action }) => action === 'remove-tag');
  assert.deepEqual(
    due.map(({ tag }) => tag),
    ['pr-1'],
  );
  assert.deepEqual(JSON.parse((await core.read('tags/list')).body.toString()).tags, [
    '1.0',
    'pr-2',
    'pr-3',
    'pr-4',
  ]);
});

test('retention spares the signatures of the images that stay, and does not count them', async () => {
  await using core = await HostedCore.start({ retention: { keepLast: 2 } });
  const text = (at: number) => index({ annotations: { at: `${at}` } });
  const signatureOf = (at: number) => `${digestOf(text(at)).replace(':', '-')}.sig`;
  for (const at of [1, 2, 3]) {
    await core.pushManifest(`v${at}`, text(at));
    await core.pushManifest(signatureOf(at), index({ annotations: { signs: `${at}` } }));
    core.core.now += 1;
  }
  // An old image gets a new tag.
  await core.pushManifest('stable', text(1));
  const tags = async () => JSON.parse((await core.read('tags/list')).body.toString()).tags;
  await collect(core);
  assert.deepEqual(await tags(), [signatureOf(1), signatureOf(2), signatureOf(3), 'stable', 'v3'].toSorted());
  // A signature of what is not here is a tag like any other, and so is one that names itself.
  await core.write('DELETE', `manifests/${digestOf(text(2))}`);
  await core.pushManifest(digestOf(text(4)).replace(':', '-'), text(4));
  core.core.now += 1;
  await core.pushManifest('v5', text(5));
  await collect(core);
  assert.deepEqual(
    await tags(),
    [digestOf(text(4)).replace(':', '-'), signatureOf(1), signatureOf(3), 'v5'].toSorted(),
  );
});

test('the last change of a tag can be undone, and so can the undo', async () => {
  await using core = await HostedCore.start({ immutableTags: ['v*'] });
  const [first, second] = [index(), index({ annotations: { a: 'b' } })];
  for (const manifest of [first, second]) await core.pushManifest('latest', manifest);
  const restore = async (tag: string) => {
    const { body } = await core.core.send({
      ...{ method: 'POST', path: '/hosted-repositories/restore-tag' },
      send: JSON.stringify({ repository: 'acme/app', tag }),
    });
    return JSON.parse(body.toString());
  };
  const latest = async () => (await core.read('manifests/latest')).headers['docker-content-digest'];
  const [one, two] = [digestOf(first), digestOf(second)];
  assert.deepEqual(await restore('latest'), { kind: 'restored', digest: one, previous: two });
  assert.equal(await latest(), digestOf(first));
  assert.deepEqual(await restore('latest'), { kind: 'restored', digest: two, previous: one });
  await core.write('DELETE', 'manifests/latest');
  assert.deepEqual(await restore('latest'), { kind: 'restored', digest: two, previous: null });
  assert.deepEqual(await restore('none'), { kind: 'unchanged' });
  const { body } = await core.core.send({
    path: '/hosted-repositories/history?repository=acme/app&tag=latest',
  });
  const changes = JSON.parse(body.toString());
  assert.deepEqual(
    changes.map(({ digest, previous, subject }: Record<string, string>) => [digest, previous, subject]),
    [
      [digestOf(second), null, 'operator'],
      [null, digestOf(second), 'user:ana'],
      [digestOf(second), digestOf(first), 'operator'],
      [digestOf(first), digestOf(second), 'operator'],
      [digestOf(second), digestOf(first), 'user:ana'],
      [digestOf(first), null, 'user:ana'],
    ],
  );
  await core.write('DELETE', `manifests/${digestOf(second)}`);
  await core.pushManifest('latest', first);
  assert.deepEqual(await restore('latest'), { kind: 'unchanged' });
  const listed = JSON.parse((await core.core.send({ path: '/hosted-repositories' })).body.toString());
  assert.deepEqual(listed.repositories, [{ path: 'acme/app', bytes: first.length, tags: 1 }]);
});

test('content is collected without being asked', async () => {
  await using core = await HostedCore.start();
  const digest = await core.pushBlob('abandoned');
  core.core.now += DAY + 1;
  await core.restart({ collectEvery: 5 });
  await waitFor(async () => !(await has(core, `blobs/${digest}`)));
});

test('a file without a row is removed when it is two days old, and no other', async () => {
  await using core = await HostedCore.start();
  const linked = await core.pushBlob('linked');
  const place = async (text: string, age: number) => {
    const digest = digestOf(text);
    const hex = digest.slice('sha256:'.length);
    const file = `${core.directory}/blobs/sha256/${hex.slice(0, 2)}/${hex}`;
    await writeFile(file, text);
    const written = new Date(core.core.now - age);
    await utimes(file, written, written);
    return digest;
  };
  const young = await place('young', DAY);
  await place('linked', 3 * DAY);
  await place('orphaned', 3 * DAY);
  await core.core.restart({}, async () => {
    const options = { directory: core.directory, namespaces: [] };
    await using hosted = await openHosted(options, QUIET, () => core.core.now);
    await hosted.collection.removeOrphans();
  });
  assert.deepEqual((await files(core)).toSorted(), [linked, young].toSorted());
  const orphan = await place('orphaned', 3 * DAY);
  await core.restart({ compareEvery: 5 });
  await waitFor(async () => !(await files(core)).includes(orphan));
});
