import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { readIfPresent, readRegularFile, whileAnswering } from '../../src/platform/regular-file.ts';

let directory: string;
const at = (name: string) => path.join(directory, name);

before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-files-'));
});

after(() => rm(directory, { recursive: true }));

test('a regular file is read as a whole, up to a bound', async () => {
  await writeFile(at('a'), 'x'.repeat(200_000));
  assert.equal(String(await readRegularFile(at('a'))), 'x'.repeat(200_000));
  assert.equal((await readRegularFile(at('a'), 200_000)).length, 200_000);
  await assert.rejects(readRegularFile(at('a'), 64 * 1024), /the file is larger than 64 KiB/);
  await writeFile(at('sparse'), '');
  await truncate(at('sparse'), 2 ** 40);
  await assert.rejects(readRegularFile(at('sparse')), /larger than 1 MiB/);
});

test('what is not a regular file is refused without waiting for it', async () => {
  execFileSync('mkfifo', [at('fifo')]);
  await assert.rejects(readRegularFile(at('fifo')), /it is a FIFO, not a regular file/);
  await assert.rejects(readRegularFile('/dev/zero'), /it is a device, not a regular file/);
  await assert.rejects(readRegularFile(directory), /it is a directory, not a regular file/);
});

test('only a name that is not there is absent', async () => {
  assert.equal(await readIfPresent(at('not-there')), undefined);
  await writeFile(at('file'), '');
  await symlink('not-there', at('dangling'));
  await symlink('loop', at('loop'));
  for (const [name, code] of [
    ['dangling', 'ENOENT'],
    ['loop', 'ELOOP'],
    ['file/below', 'ENOTDIR'],
  ] as const)
    await assert.rejects(readIfPresent(at(name)), { code });
});

test('invariant 16: a file system that does not answer is given up after a while, and holds up nobody else', async () => {
  const { promise, resolve } = Promise.withResolvers<string>();
  const hanging = whileAnswering(at('hanging'), () => promise, 200);
  const started: string[] = [];
  // Of the same directory: it is not asked, so that no more than one call hangs.
  const second = whileAnswering(at('second'), async () => started.push('second'), 200);
  await assert.rejects(hanging, /no answer within 0.2 s/);
  await assert.rejects(second, /no answer within 0.2 s/);
  assert.equal(await whileAnswering('/elsewhere/file', async () => 'answered'), 'answered');
  resolve('late');
  assert.equal(await whileAnswering(at('third'), async () => 'answered'), 'answered');
  assert.deepEqual(started, []);
});
