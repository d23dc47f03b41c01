/** The client of object stores, against real servers. They differ in what they forgive. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { after, before, suite, test } from 'node:test';
import { OBJECT_LIMITS } from '../../src/cluster/objects/limits.ts';
import { readingKeys } from '../../src/cluster/objects/object-keys.ts';
import { type ObjectResult, stored } from '../../src/cluster/objects/object-result.ts';
import { ObjectStore } from '../../src/cluster/objects/object-store.ts';
import { lookAtObjectStore } from '../../src/commands/doctor/server/object-store.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { createLogger } from '../../src/platform/log.ts';
import { assertBytes } from '../support/assert-bytes.ts';
import { waitFor } from '../support/wait-for.ts';
import {
  BUCKET,
  type ObjectServer,
  startSeaweed,
  startVersity,
  whyNoServer,
} from './support/object-servers.ts';

const MIB = 2 ** 20;
const log = createLogger('test', { level: 'error', format: 'json' });

function patience(): AbortSignal {
  return AbortSignal.timeout(60_000);
}

function uploadOf(bytes: Buffer, sha256 = createHash('sha256').update(bytes).digest('hex')) {
  // Pieces of an odd size, so that no part begins where a piece begins.
  const pieces = function* () {
    for (let at = 0; at < bytes.length; at += 99_991) yield bytes.subarray(at, at + 99_991);
  };
  return { size: bytes.length, sha256, open: async () => Readable.from(pieces(), { objectMode: false }) };
}

function valueIn<T>(result: ObjectResult<T>): T {
  assert.ok(result.kind === 'ok', result.kind === 'unavailable' ? result.detail : '');
  return result.value;
}

function detailIn(result: ObjectResult<unknown>): string {
  assert.equal(result.kind, 'unavailable');
  return result.kind === 'unavailable' ? result.detail : '';
}

for (const [name, startServer] of [
  ['versitygw', startVersity],
  ['seaweedfs', startSeaweed],
] as const) {
  const skip = await whyNoServer(name);
  suite(`an object store on ${name}`, { skip }, () => {
    let server: ObjectServer;
    let store: ObjectStore;

    before(async () => {
      server = await startServer();
      // A busy machine answers late, which is no reason to count the store as away.
      store = server.client({ probe: 60_000 });
    });

    after(async () => {
      await store?.[Symbol.asyncDispose]();
      await server?.[Symbol.asyncDispose]();
    });

    test('the content of an upload is closed, even if the upload is given up before it is sent', async () => {
      const upload = uploadOf(randomBytes(1_000));
      const content = await upload.open();
      const gaveUp = new AbortController();
      const open = async () => {
        gaveUp.abort();
        return content;
      };
      assert.equal((await store.put('given-up', { ...upload, open }, gaveUp.signal)).kind, 'unavailable');
      assert.ok(content.destroyed);
    });

    test('an object is put, read from any offset, listed and removed', async () => {
      const bytes = randomBytes(300_000);
      valueIn(await store.put('mirror/blobs/one.1', uploadOf(bytes), patience()));
      for (const from of [0, 1, 299_999]) {
        const found = valueIn(await store.get('mirror/blobs/one.1', from, patience()));
        assert.equal(found?.size, bytes.length);
        assertBytes(await buffer(found?.body ?? assert.fail()), bytes.subarray(from));
      }
      assert.equal(valueIn(await store.size('mirror/blobs/one.1', patience())), bytes.length);
      const listed = valueIn(await store.list('mirror/blobs/one', '', patience()));
      assert.deepEqual(
        listed.objects.map(({ key }) => key),
        ['mirror/blobs/one.1'],
      );
      const age = listed.now - (listed.objects[0]?.modifiedAt ?? 0);
      assert.ok(age >= -5_000 && age < 600_000, `${age}`);
      valueIn(await store.remove('mirror/blobs/one.1', patience()));
      valueIn(await store.remove('mirror/blobs/one.1', patience()));
      assert.equal(valueIn(await store.get('mirror/blobs/one.1', 0, patience())), undefined);
      assert.equal(valueIn(await store.size('mirror/blobs/one.1', patience())), undefined);
    });

    test('keys are listed in order, from one on', async () => {
      const keys = ['a', 'b', 'c'].map((end) => `list/${end}.1`);
      for (const key of keys) valueIn(await store.put(key, uploadOf(Buffer.from(key)), patience()));
      const after = valueIn(await store.list('list/', 'list/a.1', patience()));
      assert.deepEqual(
        after.objects.map(({ key }) => key),
        keys.slice(1),
      );
      assert.equal(after.isMore, false);
      assert.deepEqual(valueIn(await store.list('none/', '', patience())).objects, []);
    });

    test('bytes that are not what they should be are refused, and nothing is stored', async () => {
      const wrong = uploadOf(randomBytes(1_000), createHash('sha256').update('other').digest('hex'));
      assert.match(detailIn(await store.put('mirror/wrong.1', wrong, patience())), /answers 400/);
      assert.equal(valueIn(await store.get('mirror/wrong.1', 0, patience())), undefined);
    });

    test('a large object is sent in parts, and is there only when it is whole', async () => {
      await using small = server.client({ probe: 60_000, single: MIB, part: 5 * MIB });
      const bytes = randomBytes(11 * MIB + 7);
      const gate = Promise.withResolvers<void>();
      const open = async () =>
        Readable.from(
          (async function* () {
            yield bytes.subarray(0, 6 * MIB);
            await gate.promise;
            yield bytes.subarray(6 * MIB);
          })(),
          { objectMode: false },
        );
      const putting = small.put('mirror/large.1', { ...uploadOf(bytes), open }, patience());
      assert.equal(valueIn(await small.size('mirror/large.1', patience())), undefined);
      gate.resolve();
      valueIn(await putting);
      const found = valueIn(await small.get('mirror/large.1', 5 * MIB - 3, patience()));
      assertBytes(await buffer(found?.body ?? assert.fail()), bytes.subarray(5 * MIB - 3));
    });

    test('an upload that is given up leaves nothing', async () => {
      await using small = server.client({ probe: 60_000, single: MIB, part: 5 * MIB });
      const giving = new AbortController();
      const open = async () =>
        Readable.from(
          (async function* () {
            yield randomBytes(5 * MIB);
            giving.abort(new Error('given up'));
            yield randomBytes(5 * MIB);
          })(),
          { objectMode: false },
        );
      const upload = { size: 10 * MIB, open };
      assert.equal((await small.put('mirror/given-up.1', upload, giving.signal)).kind, 'unavailable');
      assert.equal(valueIn(await small.size('mirror/given-up.1', patience())), undefined);
      // Nothing is left to be ended.
      const far = Date.now() + 86_400_000;
      assert.equal(valueIn(await small.abortUploads('mirror/given-up', far, patience())), 0);
    });

    test('a wrong key is refused, and the right one is used as soon as its file has it', async () => {
      const secretKeyFile = path.join(path.dirname(server.secretKeyFile), 'rotated');
      await writeFile(secretKeyFile, 'wrong');
      const keys = readingKeys({ accessKeyFile: server.accessKeyFile, secretKeyFile });
      const { endpoint } = server;
      const limits = { ...OBJECT_LIMITS, probe: 60_000, probeEvery: 86_400_000 };
      const options = { endpoint, bucket: BUCKET, region: 'us-east-1', keys, limits, log };
      await using rotated = new ObjectStore(options);
      assert.match(detailIn(await rotated.size('mirror/any', patience())), /answers 403/);
      await rm(secretKeyFile);
      await waitFor(async () => {
        const answer = await rotated.size('mirror/any', patience());
        return answer.kind === 'unavailable' && /rotated cannot be read: ENOENT/.test(answer.detail);
      });
      await writeFile(secretKeyFile, 'hubgate-secret\n');
      await waitFor(async () => (await rotated.size('mirror/any', patience())).kind === 'ok');
    });

    test('the doctor finds nothing wrong with a store that works, and says what to do about a wrong key', async () => {
      const { endpoint, accessKeyFile, secretKeyFile } = server;
      const config = { endpoint, bucket: BUCKET, prefix: 'mirror', region: 'us-east-1' };
      const keys = { accessKeyFile, secretKeyFile };
      assert.deepEqual(await lookAtObjectStore({ ...config, ...keys }, undefined, systemClock), {
        findings: [],
      });
      const swapped = { accessKeyFile, secretKeyFile: accessKeyFile };
      const looked = await lookAtObjectStore({ ...config, ...swapped }, undefined, systemClock);
      assert.ok('findings' in looked);
      assert.match(looked.findings[0]?.what ?? '', /cannot be used: .* answers 403/);
      assert.match(looked.findings[0]?.mend ?? '', /correct the keys/);
    });

    test('a store that freezes is known to be away, ends what it sends, and comes back', async () => {
      await using quick = server.client({ probe: 1_000, probeEvery: 100, idle: 600_000 });
      const bytes = randomBytes(40 * MIB);
      valueIn(await store.put('mirror/frozen.1', uploadOf(bytes), patience()));
      const found = valueIn(await quick.get('mirror/frozen.1', 0, patience()));
      server.signal('SIGSTOP');
      try {
        const reading = buffer(found?.body ?? assert.fail()).then(
          () => 'whole',
          () => 'broken off',
        );
        while (quick.trouble.current === undefined) await quick.trouble.changed();
        assert.match(quick.trouble.current ?? '', /does not answer in time/);
        assert.equal(await reading, 'broken off');
        assert.match(detailIn(await quick.get('mirror/frozen.1', 0, patience())), /does not answer in time/);
      } finally {
        server.signal('SIGCONT');
      }
      while (quick.trouble.current !== undefined) await quick.trouble.changed();
      assert.equal(valueIn(await quick.size('mirror/frozen.1', patience())), bytes.length);
    });
  });
}

test('a store that fails once is asked again, and one that fails twice is not', async () => {
  let asked = 0;
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(++asked === 1 ? 503 : asked === 2 ? 404 : 500).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const limits = { ...OBJECT_LIMITS, probeEvery: 86_400_000 };
  const keys = async () => ({ accessKeyId: 'a', secretAccessKey: 's' });
  const endpoint = `http://127.0.0.1:${port}`;
  {
    await using store = new ObjectStore({ endpoint, bucket: BUCKET, region: 'r', keys, limits, log });
    assert.deepEqual(await store.get('any', 0, patience()), stored(undefined));
    assert.match(detailIn(await store.get('any', 0, patience())), /answers 500/);
  }
  assert.equal(asked, 4);
  server.close();
});
