import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { blobFile } from '../src/core/store/layout.ts';
import { openStore } from '../src/core/store/store.ts';
import type { Digest } from '../src/registry/digest.ts';
import { QUIET } from '../test/support/test-core.ts';
import { type BenchImage, fileOf, linkTo, REPOSITORY } from './content.ts';

const REPOSITORIES = 1000;
/** One in this many of the linked digests is a manifest, which names the others. */
const PARENTS = 10;

/**
 * The numbers are multiples of ten and count digests from the first, so that a manifest goes together with
 * what it names.
 */
export interface Filling {
  readonly links: number;
  /** How many of them nobody has used for `UNUSED_FOR`. */
  readonly unused?: number;
}

/** In milliseconds: longer than unused content stays by default. */
export const UNUSED_FOR = 31 * 24 * 60 * 60 * 1000;

/**
 * Makes an index with this many links in a cache's directory: content that was used and checked just now, in
 * a thousand repositories, one in ten of it a manifest that names the others. There are no bytes, because
 * nobody asks for them.
 */
export async function fillIndex(directory: string, { links, unused = 0 }: Filling): Promise<void> {
  // The store itself makes the tables, so that they are like those of a real cache.
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
    INSERT INTO link (repository, kind, digest, media_type) SELECT r.id, 'blob', digest, NULL FROM filling
      JOIN repository r ON r.name = 'docker.io/filled/r' || (i % ${Math.min(REPOSITORIES, links)});
    INSERT INTO content (digest, size, used_at, checked_at)
      SELECT digest, 1000, iif(i < ${unused}, ${now - UNUSED_FOR}, ${now}), ${now} FROM filling;
    INSERT INTO child (parent, child) SELECT p.digest, f.digest FROM filling f
      JOIN filling p ON p.i = f.i - f.i % ${PARENTS} WHERE f.i % ${PARENTS} > 0;
    DROP TABLE filling;
    COMMIT;
  `);
  database.close();
}

/** Adds an image to an index as if it was pulled just now, with its bytes in the store. */
export async function holdImage(
  directory: string,
  contentDirectory: string,
  { image }: BenchImage,
): Promise<void> {
  const database = new DatabaseSync(path.join(directory, 'index.db'));
  const now = Date.now();
  const repository = database
    .prepare('INSERT INTO repository (name, visibility, visibility_checked_at) VALUES (?, ?, ?)')
    .run(`docker.io/${REPOSITORY}`, 'public', now).lastInsertRowid;
  const link = database.prepare(
    'INSERT INTO link (repository, kind, digest, media_type) VALUES (?, ?, ?, ?)',
  );
  const content = database.prepare(
    'INSERT INTO content (digest, size, used_at, checked_at) VALUES (?, ?, ?, ?)',
  );
  const hold = async (kind: string, digest: Digest, mediaType: string | null, size: number) => {
    link.run(repository, kind, digest, mediaType);
    content.run(digest, size, now, now);
    await linkTo(fileOf(contentDirectory, digest), path.join(directory, blobFile(digest)));
  };
  database.exec('BEGIN');
  await hold('manifest', image.digest, image.mediaType, image.bytes.length);
  for (const [digest, bytes] of image.blobs) await hold('blob', digest, null, bytes.length);
  database.exec('COMMIT');
  database.close();
}
