import { chmodSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { backup, DatabaseSync } from 'node:sqlite';

/** More pages than a database has, so that the whole copy is one step, in which no change can fall. */
const ALL_PAGES = 2 ** 30;

/**
 * Copies the database in `file` as it is at one moment, while other processes read and change it. Only the
 * owner can read the copy, which is one file without a log beside it.
 * @throws if the database cannot be read or is damaged, or if the copy cannot be written
 */
export async function copySqliteFile(file: string, copy: string, busyTimeout: number): Promise<void> {
  const database = new DatabaseSync(file, { timeout: busyTimeout });
  try {
    await backup(database, copy, { rate: ALL_PAGES });
  } finally {
    database.close();
  }
  chmodSync(copy, 0o600);
  const damage = makeSingleFile(copy);
  if (damage !== 'ok') throw new Error(`${file} is damaged: ${damage}`);
  await using handle = await open(copy, 'r+');
  await handle.sync();
}

/** Returns what SQLite says about the copy: `ok`, or the first damage. */
function makeSingleFile(copy: string): unknown {
  const database = new DatabaseSync(copy);
  try {
    database.exec('PRAGMA journal_mode = DELETE');
    return database.prepare('PRAGMA quick_check(1)').get()?.quick_check;
  } finally {
    database.close();
  }
}
