import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf, errorOf, HostedCore, OCI_INDEX, OCI_MANIFEST } from '../../support/hosted-core.ts';

const index = (more: object = {}) =>
  JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [], ...more });

test('tags are listed in the order of their bytes, page by page', async () => {
  await using core = await HostedCore.start();
  assert.equal((await core.read('tags/list')).status, 404);
  for (const tag of ['b', 'a', 'Z', '_', 'a.1']) await core.pushManifest(tag, index());
  const list = async (query: string) => {
    const { body, headers } = await core.read(`tags/list${query}`);
    return [JSON.parse(body.toString()).tags, headers['hubgate-next']];
  };
  assert.deepEqual(await list(''), [['Z', '_', 'a', 'a.1', 'b'], undefined]);
  assert.deepEqual(await list('?n=2'), [['Z', '_'], 'n=2&last=_']);
  assert.deepEqual(await list('?n=2&last=_'), [['a', 'a.1'], 'n=2&last=a.1']);
  assert.deepEqual(await list('?n=2&last=a.1'), [['b'], undefined]);
  assert.deepEqual(await list('?last=aa'), [['b'], undefined]);
  assert.deepEqual(await list('?n=0'), [[], undefined]);
});

test('deleting a tag deletes the tag alone; deleting a digest deletes it and its tags', async () => {
  await using core = await HostedCore.start();
  const manifest = await core.pushImage('1.0', 'layer');
  const digest = digestOf(manifest);
  await core.pushManifest('1.1', manifest);
  const untagged = await core.write('DELETE', 'manifests/1.0');
  assert.deepEqual([untagged.status, untagged.headers['hubgate-previous']], [202, digest]);
  assert.equal((await core.read('manifests/1.0')).status, 404);
  assert.equal((await core.read(`manifests/${digest}`)).status, 200);
  assert.equal((await core.write('DELETE', 'manifests/1.0')).status, 404);
  assert.equal((await core.write('DELETE', `manifests/${digest}`)).status, 202);
  for (const reference of ['1.1', digest])
    assert.equal((await core.read(`manifests/${reference}`, { method: 'HEAD' })).status, 404);
  assert.equal((await core.write('DELETE', `manifests/${digest}`)).status, 404);
});

test('a blob that a manifest needs is not deleted; any other is gone at once', async () => {
  await using core = await HostedCore.start();
  const manifest = await core.pushImage('1.0', 'layer');
  const layer = digestOf('layer');
  const needed = await core.write('DELETE', `blobs/${layer}`);
  assert.deepEqual([needed.status, errorOf(needed).code], [403, 'DENIED']);
  assert.equal((await core.read(`blobs/${layer}`)).status, 200);
  await core.write('DELETE', `manifests/${digestOf(manifest)}`);
  assert.equal((await core.write('DELETE', `blobs/${layer}`)).status, 202);
  assert.equal((await core.read(`blobs/${layer}`)).status, 404);
  assert.equal((await core.write('DELETE', `blobs/${layer}`)).status, 404);
});

test('a manifest that an index names is not deleted, because the index would be torn', async () => {
  await using core = await HostedCore.start();
  const child = index({ annotations: { a: 'child' } });
  const named = index({ manifests: [{ mediaType: OCI_INDEX, digest: digestOf(child), size: child.length }] });
  await core.pushManifest('child', child);
  await core.pushManifest('1.0', named);
  const needed = await core.write('DELETE', `manifests/${digestOf(child)}`);
  assert.deepEqual([needed.status, errorOf(needed).code], [403, 'DENIED']);
  assert.equal((await core.read('manifests/child')).status, 200);
  await core.write('DELETE', `manifests/${digestOf(named)}`);
  assert.equal((await core.write('DELETE', `manifests/${digestOf(child)}`)).status, 202);
});

test('an immutable tag keeps its digest; pushing the same again is no change', async () => {
  await using core = await HostedCore.start({ immutableTags: ['*', '!latest', '!*-dev'] });
  const other = index({ annotations: { a: 'b' } });
  for (const tag of ['1.0', 'latest', '1-dev', `sha256-${'a'.repeat(64)}.sig`])
    assert.equal((await core.pushManifest(tag, index())).status, 201);
  assert.equal((await core.pushManifest('1.0', index())).status, 201);
  for (const tag of ['latest', '1-dev', `sha256-${'a'.repeat(64)}.sig`])
    assert.equal((await core.pushManifest(tag, other)).status, 201, tag);
  const moved = await core.pushManifest('1.0', other);
  assert.deepEqual([moved.status, errorOf(moved).code], [409, 'DENIED']);
  assert.match(
    errorOf(moved).message,
    new RegExp(`1\\.0 is immutable since 2026.*${digestOf(index())}.*; push another tag`),
  );
  for (const reference of ['1.0', digestOf(index())]) {
    const refused = await core.write('DELETE', `manifests/${reference}`);
    assert.equal(refused.status, 409);
    assert.match(
      errorOf(refused).message,
      /1\.0 is immutable since .*; it is not deleted, except by whoever/,
    );
  }
  assert.equal((await core.read('manifests/1.0')).headers['docker-content-digest'], digestOf(index()));
});

test('of two pushes to one immutable tag at a time, one wins', async () => {
  await using core = await HostedCore.start({ immutableTags: ['*'] });
  const pushes = Array.from({ length: 8 }, (_, at) =>
    core.pushManifest('1.0', index({ annotations: { at: `${at}` } })),
  );
  const statuses = (await Promise.all(pushes)).map(({ status }) => status).sort();
  assert.deepEqual(statuses, [201, ...Array(7).fill(409)]);
});

test('a push by digest sets the tags beside it, all or none', async () => {
  await using core = await HostedCore.start({ immutableTags: ['v*'] });
  const digest = digestOf(index());
  const pushed = await core.pushManifest(`${digest}?tag=a&tag=v1`, index());
  assert.deepEqual([pushed.status, pushed.headers['oci-tag']], [201, 'a, v1']);
  const other = index({ annotations: { a: 'b' } });
  assert.equal((await core.pushManifest(`${digestOf(other)}?tag=b&tag=v1`, other)).status, 409);
  assert.deepEqual(JSON.parse((await core.read('tags/list')).body.toString()).tags, ['a', 'v1']);
  assert.equal((await core.read(`manifests/${digestOf(other)}`)).status, 404);
  assert.equal((await core.read('manifests/v1')).headers['docker-content-digest'], digest);
});

test('a retag says which digest it replaced', async () => {
  await using core = await HostedCore.start();
  await core.pushManifest('latest', index());
  const moved = await core.pushManifest('latest', index({ annotations: { a: 'b' } }));
  assert.equal(moved.headers['hubgate-previous'], digestOf(index()));
});

test('referrers are listed with their type and annotations, filtered, and page by page', async () => {
  await using core = await HostedCore.start();
  const subject = { mediaType: OCI_MANIFEST, digest: digestOf('a subject'), size: 9 };
  const list = async (query = '') => {
    const { status, body, headers } = await core.read(`referrers/${subject.digest}${query}`);
    assert.equal(status, 200);
    assert.ok(body.length <= 4 * 1024 * 1024);
    return { headers, manifests: JSON.parse(body.toString()).manifests };
  };
  assert.deepEqual((await list()).manifests, []);
  const config = await core.pushBlob('{}');
  const signature = index({ subject, artifactType: 'application/x-sig', annotations: { by: 'ana' } });
  await core.pushManifest('sig', signature);
  const image = { schemaVersion: 2, mediaType: OCI_MANIFEST, layers: [], subject };
  const sbom = JSON.stringify({
    ...image,
    config: { mediaType: 'application/x-sbom', digest: config, size: 2 },
  });
  await core.pushManifest('sbom', sbom);
  const described = {
    mediaType: OCI_INDEX,
    ...{ digest: digestOf(signature), size: signature.length },
    ...{ artifactType: 'application/x-sig', annotations: { by: 'ana' } },
  };
  const all = await list();
  assert.equal(all.manifests.length, 2);
  assert.deepEqual(
    all.manifests.find((one: { digest: string }) => one.digest === described.digest),
    described,
  );
  const filtered = await list('?artifactType=application%2Fx-sbom');
  assert.equal(filtered.headers['oci-filters-applied'], 'artifactType');
  assert.deepEqual(
    filtered.manifests.map((one: { digest: string }) => one.digest),
    [digestOf(sbom)],
  );
  const large = (at: number) =>
    index({ subject, annotations: { at: String(at), text: 'x'.repeat(1_500_000) } });
  for (const at of [0, 1, 2]) assert.equal((await core.pushManifest(`large-${at}`, large(at))).status, 201);
  const seen = new Set<string>();
  for (let query: string | undefined = ''; query !== undefined; ) {
    const { headers, manifests } = await list(query);
    for (const { digest } of manifests) seen.add(digest);
    const next = headers['hubgate-next'];
    query = next === undefined ? undefined : `?${next}`;
  }
  assert.equal(seen.size, 5);
});

test('a page of referrers costs what is on it, however many there are', async () => {
  await using core = await HostedCore.start();
  const subject = { mediaType: OCI_MANIFEST, digest: digestOf('a subject'), size: 9 };
  const pushLarge = async (from: number, to: number) => {
    for (let at = from; at < to; at++) {
      const manifest = index({ subject, annotations: { at: String(at), text: 'x'.repeat(1_300_000) } });
      assert.equal((await core.pushManifest(`large-${at}`, manifest)).status, 201);
    }
  };
  const cost = async () => {
    let least = Number.POSITIVE_INFINITY;
    for (let turn = 0; turn < 5; turn++) {
      const begun = process.threadCpuUsage();
      const { body } = await core.read(`referrers/${subject.digest}`);
      assert.ok(body.length > 3_900_000);
      const { user, system } = process.threadCpuUsage(begun);
      least = Math.min(least, user + system);
    }
    return least;
  };
  await pushLarge(0, 3);
  const ofThree = await cost();
  await pushLarge(3, 60);
  const ofSixty = await cost();
  assert.ok(ofSixty < 2 * ofThree, `${ofThree} µs, then ${ofSixty} µs`);
});

test('a referrer whose type or annotations a list could not have is refused', async () => {
  await using core = await HostedCore.start();
  const subject = { mediaType: OCI_MANIFEST, digest: digestOf('a subject'), size: 9 };
  const type = `application/${'x'.repeat(300)}`;
  const unlisted = await core.pushManifest('type', index({ subject, artifactType: type }));
  assert.equal(unlisted.status, 400);
  assert.match(errorOf(unlisted).message, /the type of the artifact is longer than 255 characters/);
  // These numbers are longer when they are written again.
  const numbers = index({ subject, annotations: { a: 0 } }).replace(
    '"a":0',
    `"a":[1e20${',1e20'.repeat(199_000)}]`,
  );
  assert.ok(numbers.length < 1_500_000);
  const refused = await core.pushManifest('numbers', numbers);
  assert.equal(refused.status, 400);
  assert.match(errorOf(refused).message, /the annotations are longer than a list of referrers may be/);
});
