import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

/** A FIFO at `file` that is full and takes nothing, until it is read by the handle that is returned. */
export async function makeFullFifo(file: string): Promise<FileHandle> {
  execFileSync('mkfifo', [file]);
  // For both, so that it waits for nobody at the other end.
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
