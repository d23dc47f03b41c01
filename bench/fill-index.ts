import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { openStore } from '../src/core/store/store.ts';
import { QUIET } from '../test/support/test-core.ts';

const REPOSITORIES = 1000;
/** Of the digests that are linked; the others are such that one manifest names many. */
const PARENTS = 10;

/**
 * Makes an index of so many links under a cache's directory: content that was used and checked just now, in a thousand
 * repositories, one in ten of it a manifest that names the others. There are no bytes: nobody asks for them.
 */
export async function fillIndex(directory: string, links: number): Promise<void> {
  // By the store itself, so that the tables are what it makes them.
  await (await openStore(directory, QUIET, Date.now))[Symbol.asyncDispose]();
  const database = new DatabaseSync(path.join(directory, 'index.db'));
  const now = Date.now();
  database.exec(`
    BEGIN;
    CREATE TEMP TABLE filling (i INTEGER PRIMARY KEY, digest TEXT NOT NULL);
    WITH RECURSIVE numbers (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM numbers WHERE i + 1 < ${links})
      INSERT INTO filling SELECT i, 'sha256:' || lower(hex(randomblob(32))) FROM numbers;
    INSERT INTO repository (name, visibility, visibility_checked_at)
      SELECT 'docker.io/filled/r' || i, 'public', ${now} FROM filling WHERE i < ${REPOSITORIES};
    INSERT INTO link SELECT r.id, 'blob', digest, NULL FROM filling
      JOIN repository r ON r.name = 'docker.io/filled/r' || (i % ${Math.min(REPOSITORIES, links)});
    INSERT INTO content SELECT digest, 1000, ${now}, ${now} FROM filling;
    INSERT INTO child SELECT p.digest, f.digest FROM filling f
      JOIN filling p ON p.i = f.i - f.i % ${PARENTS} WHERE f.i % ${PARENTS} > 0;
    DROP TABLE filling;
    COMMIT;
  `);
  database.close();
}
