import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { CacheSpace, NoSpace } from '../../../src/core/eviction/cache-space.ts';
import { FileContentStore } from '../../../src/core/store/file-content-store.ts';
import { diskSpace } from '../../../src/platform/disk-space.ts';
import { sha256Of } from '../../../src/registry/digest.ts';
import { SmallDisk } from '../../support/small-disk.ts';
import { type LoggedLine, testLog } from '../../support/test-log.ts';

const DIGEST = sha256Of(Buffer.from('blob'));
const MIB = 2 ** 20;

function spaceOf(directory: string, log: LoggedLine[] = []): CacheSpace {
  const limit = { bytes: async () => 2 ** 60 };
  const content = new FileContentStore(directory, Date.now);
  return new CacheSpace({ content, limit, makeRoom: async () => {}, log: testLog(log) });
}

const wanted = (size: number | undefined, resumeOffset = 0) => ({ digest: DIGEST, size, resumeOffset });

test('fills are promised together no more than is free, and what is here of a blob counts', () => {
  const space = spaceOf(tmpdir());
  const measured = { free: 100, most: 1_000, place: tmpdir() };
  assert.equal(space.reserveOf(measured, wanted(101)), undefined);
  const rest = space.reserveOf(measured, wanted(150, 50));
  assert.ok(rest !== undefined);
  rest[Symbol.dispose]();
  using first = space.reserveOf(measured, wanted(60));
  assert.ok(first !== undefined);
  assert.equal(space.reserveOf(measured, wanted(60)), undefined);
  using second = space.reserveOf(measured, wanted(40));
  assert.ok(second !== undefined);
});

test('a blob for which the disk has no space is not cached, and this is said', async () => {
  const log: LoggedLine[] = [];
  const space = spaceOf(tmpdir(), log);
  const { total } = await diskSpace(tmpdir());
  assert.equal(await space.reserve(wanted(total + 1)), undefined);
  assert.deepEqual(
    log.map(({ msg }) => msg),
    ['the disk has no space for a blob; it is not cached'],
  );
});

test('a disk whose free space cannot be read is not written to', async () => {
  const space = spaceOf('/nonexistent/cache');
  await assert.rejects(space.measure(), { code: 'ENOENT' });
  await assert.rejects(space.reserve(wanted(1)), { code: 'ENOENT' });
});

test('a disk that fills up during a fill ends that fill, and a full one is said to be full', async (t) => {
  await using disk = await SmallDisk.make('24m');
  if (disk === undefined) return t.skip('mounting takes root');
  const space = spaceOf(disk.directory);
  await space.check();
  using fill = space.reserveOf(await space.measure(), wanted(undefined));
  assert.ok(fill !== undefined);
  // The disk is looked at after each 16 MiB, so that a look costs nothing.
  await fill.wrote(16 * MIB);
  await disk.fill();
  await fill.wrote(MIB);
  await assert.rejects(fill.wrote(16 * MIB), NoSpace);
  await assert.rejects(space.check(), /^Error: ENOSPC: too little is free on the disk of /);
  await disk.free();
  await space.check();
});
