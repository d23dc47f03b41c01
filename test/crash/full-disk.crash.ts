import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { MountNamespace } from './support/mount-namespace.ts';

const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-full-'));
const namespace = await MountNamespace.make().catch(() => undefined);
/** Where nobody looks, a suite that did not run is as good as none. */
const skip = process.env.CI === undefined && namespace === undefined && 'no file system can be mounted here';

test('a full disk loses nothing of the state of auth, and stops nobody who has a token', {
  skip,
}, async (t) => {
  assert.ok(namespace !== undefined);
  t.after(async () => {
    await namespace[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  });
  const disk = path.join(directory, 'disk');
  await mkdir(disk);
  await namespace.run('mount', '-t', 'tmpfs', '-o', 'size=512k', 'none', disk);
  const fixture = path.join(import.meta.dirname, 'support/fixtures/full-disk.ts');
  assert.equal(await namespace.run(process.execPath, fixture, disk), 'held\n');
});
