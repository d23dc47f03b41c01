/** Copies of a document that a node cannot write: a platform mounts them, one node after the other. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { migrateCluster } from '../../src/cluster/schema.ts';
import { type DocumentCopy, SharedDocument } from '../../src/cluster/shared-document.ts';
import { Postgres } from '../../src/platform/postgres.ts';
import { testLog } from '../support/test-log.ts';
import { startPostgres } from './support/postgres-server.ts';

const stack = new AsyncDisposableStack();
const server = stack.use(await startPostgres());
const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-documents-'));
stack.defer(() => rm(directory, { recursive: true }));
after(() => stack.disposeAsync());

let database: Postgres;

beforeEach(async () => {
  database = stack.use(
    new Postgres({ url: await server.database(), application: 'test', connections: 2, deadline: 5_000 }),
  );
  await migrateCluster(database);
});

/** A node whose copy is a read-only mount. The platform changes `text`. */
class MountedNode {
  text: string;
  readonly #name: string;
  readonly #document: SharedDocument;

  constructor(name: string, text: string) {
    this.text = text;
    this.#name = name;
    this.#document = this.#start();
  }

  sync(): Promise<void> {
    return this.#document.sync();
  }

  #start(): SharedDocument {
    const readOnly = async () => {
      throw Object.assign(new Error('EROFS: read-only file system'), { code: 'EROFS' });
    };
    const copy: DocumentCopy = {
      read: async () => this.text,
      write: readOnly,
      isValid: async () => true,
      merge: () => undefined,
      keepAside: readOnly,
      exclusively: (task) => task(),
    };
    const stateFile = path.join(directory, `${this.#name}-${Math.random()}.json`);
    return new SharedDocument({
      name: 'policy',
      database,
      node: this.#name,
      stateFile,
      copy,
      log: testLog([]),
    });
  }
}

async function stored(): Promise<string | undefined> {
  const [row] = await database.rows<{ text: string }>('SELECT text FROM hubgate.shared_document');
  return row?.text;
}

test('a mounted copy that changes on one node after the other becomes the document', async () => {
  const [first, second] = [new MountedNode('n1', 'one'), new MountedNode('n2', 'one')];
  for (const node of [first, second]) await node.sync();
  first.text = 'two';
  await first.sync();
  // The second node cannot take it, and does not put its own older text in its place.
  for (let attempt = 0; attempt < 2; attempt++) await second.sync();
  assert.equal(await stored(), 'two');
  second.text = 'two';
  await second.sync();
  assert.equal(await stored(), 'two');
});

test('a new node whose mounted copy differs from the document starts, and all end with what is mounted', async () => {
  const first = new MountedNode('n1', 'two');
  await first.sync();
  const late = new MountedNode('n2', 'one');
  await late.sync();
  late.text = 'two';
  for (const node of [first, late]) await node.sync();
  assert.equal(await stored(), 'two');
});
