/**
 * A hand-written document of which each node has a copy in its files. An edit of the copy of one node becomes
 * the next version in the database, and the other nodes write that version to their files. So whoever edits a
 * file on any node edits it on all of them, and every tool that reads files goes on to do so.
 *
 * A copy that this node cannot write, such as a mounted ConfigMap, is edited by whoever mounts it, on every
 * node. Such a copy is never taken from the database. Its text becomes the next version like every other
 * edit.
 */
import { z } from 'zod';
import { writeFileAtomically } from '../platform/atomic-file.ts';
import type { Logger } from '../platform/log.ts';
import type { PostgresQueries } from '../platform/postgres.ts';
import { isErrno, messageOf } from '../platform/reason.ts';
import { readIfPresent } from '../platform/regular-file.ts';

export interface SharedDocumentOptions {
  /** The name of the document in the database. */
  readonly name: string;
  readonly database: PostgresQueries;
  /** The name of this node. */
  readonly node: string;
  /** The file that keeps the version that the copy of this node was made of. */
  readonly stateFile: string;
  readonly copy: DocumentCopy;
  readonly log: Logger;
}

/** The copy of a document in the files of this node. */
export interface DocumentCopy {
  /** Resolves to undefined if there is none. */
  read(): Promise<string | undefined>;
  write(text: string): Promise<void>;
  /** True if a text may become a version. What is wrong with it is reported where the file is read. */
  isValid(text: string): Promise<boolean>;
  /** Returns `remote` with the changes from `base` to `local`; undefined if they cannot be combined. */
  merge(base: string, local: string, remote: string): string | undefined;
  /** Keeps a text that loses to another one, and returns the place. */
  keepAside(text: string): Promise<string>;
  /** Runs `task` while no command edits the copy. */
  exclusively<T>(task: () => Promise<T>): Promise<T>;
}

const STATE = z.object({ version: z.int(), text: z.string() });
type State = Readonly<z.output<typeof STATE>>;

interface Row {
  readonly version: number;
  readonly text: string;
  readonly node: string;
}

const MAX_STATE = 512 * 2 ** 20;
/** The codes of a copy that cannot be written: a read-only mount, a file of another user, a mounted file. */
const READ_ONLY = ['EROFS', 'EACCES', 'EPERM', 'EBUSY'];
/** The most attempts to store an edit while other nodes store theirs. */
const ATTEMPTS = 10;

export class SharedDocument {
  readonly #options: SharedDocumentOptions;
  #syncing: Promise<void> = Promise.resolve();

  constructor(options: SharedDocumentOptions) {
    this.#options = options;
  }

  /**
   * Makes the copy of this node and the document equal.
   * @throws DatabaseUnavailable
   */
  sync(): Promise<void> {
    const sync = () => this.#options.copy.exclusively(() => this.#sync());
    const syncing = this.#syncing.then(sync, sync);
    this.#syncing = syncing.catch(() => {});
    return syncing;
  }

  /**
   * True if the copy of this node is the document.
   * @throws DatabaseUnavailable
   */
  async isCurrent(): Promise<boolean> {
    const [local, row] = [await this.#options.copy.read(), await this.#row()];
    return row !== undefined && local === row.text;
  }

  async #sync(): Promise<void> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) if (await this.#step()) return;
    this.#options.log.warn(
      { document: this.#options.name },
      'other nodes edit the same document all the time',
    );
  }

  /** Returns true when nothing is left to do. */
  async #step(): Promise<boolean> {
    const { copy } = this.#options;
    const [local, base, row] = [await copy.read(), await this.#base(), await this.#row()];
    if (row === undefined) return local === undefined || this.#store(local, 0);
    const isEdited = local !== undefined && local !== base?.text;
    const isNewer = row.version !== base?.version;
    if (!isEdited || local === row.text) {
      const isTaken = local === row.text || (await this.#unlessReadOnly(() => this.#take(row)));
      if (isNewer && isTaken) await this.#keep(row);
      return true;
    }
    if (!isNewer) return this.#store(local, row.version);
    return this.#combine(local, base, row);
  }

  /** Combines an edit of this node with one of another node. The other one came first, so it wins. */
  async #combine(local: string, base: State | undefined, row: Row): Promise<boolean> {
    const { copy } = this.#options;
    const merged = base && copy.merge(base.text, local, row.text);
    const isWritten = await this.#unlessReadOnly(() =>
      merged === undefined ? this.#yield(local, row) : copy.write(merged),
    );
    if (!isWritten) return this.#store(local, row.version);
    await this.#keep(row);
    return merged === undefined || merged === row.text;
  }

  /** Replaces an edit of this node by the one of another node. */
  async #yield(local: string, row: Row): Promise<void> {
    const { name, copy, log } = this.#options;
    const kept = await copy.keepAside(local);
    await this.#take(row);
    log.error(
      { document: name, otherNode: row.node, kept },
      'this node and another one have edited the same document; the edit of the other one holds. Make the edit of this node again',
    );
  }

  /** Returns false if the copy of this node cannot be written. */
  async #unlessReadOnly(write: () => Promise<void>): Promise<boolean> {
    try {
      await write();
      return true;
    } catch (error) {
      if (!isErrno(error, ...READ_ONLY)) throw error;
      this.#options.log.warn(
        { document: this.#options.name, reason: messageOf(error) },
        'this node cannot write its copy of a document, so it keeps the copy that it has; whoever mounts it must change it',
      );
      return false;
    }
  }

  async #take(row: Row): Promise<void> {
    const { name, copy, log } = this.#options;
    await copy.write(row.text);
    log.info(
      { document: name, version: row.version, otherNode: row.node },
      'another node has edited a document',
    );
  }

  /**
   * Stores the copy as the version after `before`. Returns false if another node has stored one meanwhile.
   */
  async #store(local: string, before: number): Promise<boolean> {
    const { name, database, node, copy } = this.#options;
    if (!(await copy.isValid(local))) return true;
    const stored = await database.change(
      before === 0
        ? `INSERT INTO hubgate.shared_document (name, version, text, node) VALUES ($1, $4 + 1, $2, $3)
            ON CONFLICT DO NOTHING`
        : `UPDATE hubgate.shared_document SET version = $4 + 1, text = $2, node = $3, at = now()
            WHERE name = $1 AND version = $4`,
      [name, local, node, before],
    );
    if (stored === 0) return false;
    await this.#keep({ version: before + 1, text: local });
    return true;
  }

  async #row(): Promise<Row | undefined> {
    const { database, name } = this.#options;
    const [row] = await database.rows<Row>(
      'SELECT version, text, node FROM hubgate.shared_document WHERE name = $1',
      [name],
    );
    return row;
  }

  async #base(): Promise<State | undefined> {
    const bytes = await readIfPresent(this.#options.stateFile, MAX_STATE);
    if (bytes === undefined) return undefined;
    try {
      return STATE.parse(JSON.parse(String(bytes)));
    } catch {
      // Without it an edit of this node cannot be told from one of another node, which then wins.
      return undefined;
    }
  }

  async #keep({ version, text }: State): Promise<void> {
    await writeFileAtomically(this.#options.stateFile, JSON.stringify({ version, text }), 0o600);
  }
}
