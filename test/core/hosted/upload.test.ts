import assert from 'node:assert/strict';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { refuseWrite } from '../../../src/core/hosted/refusal.ts';
import { Upload } from '../../../src/core/hosted/upload.ts';
import { newUploadId } from '../../../src/registry/upload-id.ts';

const MIB = 1024 * 1024;

test('an upload without a known length ends when the disk is nearly full', async () => {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-upload-'));
  stack.defer(() => rm(directory, { recursive: true }));
  let free = 4 * MIB;
  const upload = new Upload({
    ...{ id: newUploadId(), repository: 'acme/app', subjectKey: 'user:ana', algorithm: 'sha256' },
    ...{ begunAt: 0, maxBlob: 2 ** 40, maxChunks: 10, lookAtDiskEvery: 2 * MIB, reserveAhead: MIB },
    handle: stack.use(await open(path.join(directory, 'upload'), 'wx+')),
    reserve: async (bytes) => bytes,
    release: () => {},
    failed: async () => {},
    received: (bytes) => {
      free -= bytes;
    },
    whyNoDisk: async (bytes) => (bytes > free ? refuseWrite('DENIED', 'nearly full') : undefined),
  });
  let sent = 0;
  const body = Readable.from(
    (function* () {
      for (; sent < 64; sent++) yield Buffer.alloc(MIB, sent);
    })(),
  );
  const refusal = await upload.append({ body, range: undefined, length: undefined });
  assert.deepEqual([refusal?.error, refusal?.message], ['DENIED', 'nearly full']);
  assert.ok(upload.offset >= 4 * MIB && upload.offset <= 6 * MIB, `${upload.offset} bytes were written`);
});

test('an upload that ends while the database is asked for its space keeps nothing of the quota', async () => {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-upload-'));
  stack.defer(() => rm(directory, { recursive: true }));
  let reserved = 0;
  const upload = new Upload({
    ...{ id: newUploadId(), repository: 'acme/app', subjectKey: 'user:ana', algorithm: 'sha256' },
    ...{ begunAt: 0, maxBlob: 2 ** 40, maxChunks: 10, lookAtDiskEvery: 2 * MIB, reserveAhead: MIB },
    handle: stack.use(await open(path.join(directory, 'upload'), 'wx+')),
    reserve: async (bytes) => {
      reserved -= upload.takeReserved();
      upload.end();
      reserved += bytes;
      return bytes;
    },
    release: (bytes) => {
      reserved -= bytes;
    },
    failed: async () => {},
    received: () => {},
    whyNoDisk: async () => undefined,
  });
  const refusal = await upload.append({
    body: Readable.from([Buffer.alloc(9)]),
    range: undefined,
    length: 9,
  });
  assert.equal(refusal?.error, 'BLOB_UPLOAD_UNKNOWN');
  assert.equal(reserved - upload.takeReserved(), 0);
});
