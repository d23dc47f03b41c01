/**
 * Archives that are the same whenever they are made of the same files: sorted, of one time, and with the
 * owners that the entries name.
 */
import { createHash } from 'node:crypto';
import path from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { Header, Parser, type ReadEntry } from 'tar';

interface Placed {
  /** The path without a leading slash. */
  readonly path: string;
  /** The id of the user and of the group. The default is root. */
  readonly owner?: number;
}

export interface FileEntry extends Placed {
  readonly kind: 'file';
  readonly mode: number;
  readonly content: Buffer;
}

interface DirectoryEntry extends Placed {
  readonly kind: 'directory';
  readonly mode: number;
}

export interface LinkEntry extends Placed {
  readonly kind: 'link';
  readonly target: string;
}

export type Entry = FileEntry | DirectoryEntry | LinkEntry;

const BLOCK = 512;
/** An archive ends with two blocks of zeros, and fills a record of 20 blocks. */
const RECORD = 20 * BLOCK;

export function fileEntry(at: string, content: Buffer | string, mode = 0o644): FileEntry {
  return { kind: 'file', path: at, mode, content: Buffer.from(content) };
}

export function linkEntry(at: string, target: string): LinkEntry {
  return { kind: 'link', path: at, target };
}

export function directoryEntry(at: string, mode = 0o755, owner = 0): DirectoryEntry {
  return { kind: 'directory', path: at, mode, owner };
}

/** Returns a tar archive. Directories that have no entry are added. */
export function tarOf(entries: readonly Entry[], time: Date, prefix = ''): Buffer {
  const blocks = withDirectories(entries).flatMap((entry) => {
    const content = entry.kind === 'file' ? entry.content : Buffer.alloc(0);
    return [headerOf(entry, content.length, time, prefix), content, padding(content.length, BLOCK)];
  });
  const length = blocks.reduce((sum, block) => sum + block.length, 0) + 2 * BLOCK;
  return Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK), padding(length, RECORD)]);
}

/** Compresses without a time or a name. */
export function gzipOf(bytes: Buffer): Promise<Buffer> {
  return promisify(gzip)(bytes, { level: 6 });
}

/** Returns the files and links of a tar archive, compressed or not. */
export async function readTar(bytes: Buffer): Promise<(FileEntry | LinkEntry)[]> {
  const entries: (FileEntry | LinkEntry)[] = [];
  const parser = new Parser({
    onReadEntry(entry) {
      const chunks: Buffer[] = [];
      entry.on('data', (chunk) => chunks.push(Buffer.from(chunk)));
      entry.on('end', () => {
        const read = entryOf(entry, Buffer.concat(chunks), entries);
        if (read !== undefined) entries.push(read);
      });
    },
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  parser.on('end', resolve);
  parser.on('error', reject);
  parser.end(bytes);
  await promise;
  return entries;
}

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function entryOf(
  { type, path: named, mode = 0o644, linkpath = '' }: ReadEntry,
  content: Buffer,
  before: readonly Entry[],
): FileEntry | LinkEntry | undefined {
  const at = path.posix.normalize(named);
  if (type === 'File') return { kind: 'file', path: at, mode: mode & 0o777, content };
  if (type === 'SymbolicLink') return { kind: 'link', path: at, target: linkpath };
  if (type !== 'Link') return undefined;
  const same = before.find((one) => one.path === path.posix.normalize(linkpath));
  return same?.kind === 'file' ? { ...same, path: at } : undefined;
}

function withDirectories(entries: readonly Entry[]): Entry[] {
  const all = new Map<string, Entry>();
  for (const entry of entries) {
    for (let at = path.posix.dirname(entry.path); at !== '.'; at = path.posix.dirname(at)) {
      if (!all.has(at)) all.set(at, directoryEntry(at));
    }
    all.set(entry.path, entry);
  }
  return [...all.values()].toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

function headerOf(entry: Entry, size: number, mtime: Date, prefix: string): Buffer {
  const { owner = 0 } = entry;
  const names = owner === 0 ? { uname: 'root', gname: 'root' } : {};
  const common = { uid: owner, gid: owner, ...names, mtime, size };
  const header = new Header(
    entry.kind === 'link'
      ? { ...common, path: prefix + entry.path, type: 'SymbolicLink', mode: 0o777, linkpath: entry.target }
      : entry.kind === 'directory'
        ? { ...common, path: `${prefix}${entry.path}/`, type: 'Directory', mode: entry.mode }
        : { ...common, path: prefix + entry.path, type: 'File', mode: entry.mode },
  );
  const block = Buffer.alloc(BLOCK);
  if (header.encode(block, 0)) throw new Error(`the path ${entry.path} is too long, or not ASCII`);
  return block;
}

function padding(length: number, unit: number): Buffer {
  return Buffer.alloc((unit - (length % unit)) % unit);
}
