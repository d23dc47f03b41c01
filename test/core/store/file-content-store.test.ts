import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ContentStore } from '../../../src/core/store/content-store.ts';
import { FileContentStore } from '../../../src/core/store/file-content-store.ts';
import { RecordedContent } from '../../../src/core/store/recorded-content.ts';
import { openSqliteIndex } from '../../../src/core/store/sqlite-index.ts';
import { QUIET } from '../../support/test-core.ts';
import { type OpenedContentStore, testContentStore } from './content-store.contract.ts';

function opened(directory: string, store: ContentStore, stack: AsyncDisposableStack): OpenedContentStore {
  return {
    store,
    readAt: ({ file }) => readFile(path.join(directory, file)),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

async function makeDirectory(stack: AsyncDisposableStack): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-content-store-'));
  stack.defer(() => rm(directory, { recursive: true }));
  return directory;
}

testContentStore('files', async (clock) => {
  const stack = new AsyncDisposableStack();
  const directory = await makeDirectory(stack);
  const files = new FileContentStore(directory, clock);
  await files.makeDirectories();
  return opened(directory, files, stack);
});

testContentStore('files with records in the index', async (clock) => {
  const stack = new AsyncDisposableStack();
  const directory = await makeDirectory(stack);
  const files = new FileContentStore(directory, clock);
  await files.makeDirectories();
  const index = stack.use(openSqliteIndex(path.join(directory, 'index.db'), QUIET));
  return opened(directory, new RecordedContent(files, index, clock, QUIET), stack);
});
