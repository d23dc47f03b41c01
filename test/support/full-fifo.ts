import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

/** Creates a FIFO at `file` that is full and accepts nothing until a reader uses the returned handle. */
export async function makeFullFifo(file: string): Promise<FileHandle> {
  execFileSync('mkfifo', [file]);
  // The FIFO is opened for reading and writing, so that opening it waits for no other process.
  const reader = await open(file, 'r+');
  await using writer = await open(file, constants.O_WRONLY | constants.O_NONBLOCK);
  for (const size of [4096, 1])
    await assert.rejects(
      async () => {
        for (;;) await writer.write('\n'.padStart(size));
      },
      { code: 'EAGAIN' },
    );
  return reader;
}
