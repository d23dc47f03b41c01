import path from 'node:path';
import { inHome } from '../../../config/home.ts';
import { type DiskSpace, diskSpace } from '../../../platform/disk-space.ts';
import { formatSize } from '../../../platform/size.ts';
import { type Check, type Finding, type Looked, unknown, wrong } from '../checks.ts';
import type { ExaminedServer } from './server.ts';

/** The free bytes and files that users, tokens, the audit log and running fills need. */
const LEAST_SPACE = 256 * 2 ** 20;
const LEAST_INODES = 5_000;

export function diskChecks(server: ExaminedServer): readonly Check[] {
  return [
    { name: 'cache writes', look: () => cacheWrites(server) },
    { name: 'room for the cache', look: () => roomForCache(server) },
    { name: 'disk space', look: () => leastSpace(server) },
    { name: 'inodes', look: () => inodes(server) },
  ];
}

/**
 * A cache that cannot be written stops no pull, so nobody would notice that each pull costs a download of its
 * own.
 */
async function cacheWrites({ paths, config: { cache, coreUrl }, core }: ExaminedServer): Promise<Looked> {
  if (coreUrl !== undefined) return { skipped: 'the cache is that of the registry at core.url' };
  if (core === undefined || core.cache.writable) return { findings: [] };
  const what = `cannot be written (${core.cache.error}): pulls go on, but nothing is cached`;
  const mend = 'make room on its disk, or make it writable; the core tries again every few seconds';
  return { findings: [wrong(inHome(cache.directory, paths), what, mend)] };
}

/** The free space and the size of the cache together must be as much as the cache may become. */
async function roomForCache({ paths, config: { cache, coreUrl }, core }: ExaminedServer): Promise<Looked> {
  if (coreUrl !== undefined) return { skipped: 'the cache is that of the registry at core.url' };
  if (cache.maxSize === 'auto') return { findings: exceeded(core, inHome(cache.directory, paths)) };
  const disk = await diskOf(cache.directory);
  const where = inHome(cache.directory, paths);
  const maxSize = `cache.maxSize is ${formatSize(cache.maxSize)}`;
  const mend = 'lower cache.maxSize, or give the cache a larger disk: one that is full caches nothing more';
  if (core === undefined && disk.total >= cache.maxSize && disk.free < cache.maxSize) {
    const what = `may lie on a disk that is too small: ${maxSize}, and ${formatSize(disk.free)} are free`;
    return { findings: [unknown(where, what, 'start the mirror: it knows how much of the rest is its own')] };
  }
  if (disk.free + (core?.cache.bytes ?? 0) >= cache.maxSize)
    return { findings: exceeded(core, inHome(cache.directory, paths)) };
  const has = core === undefined ? '' : `, and it holds ${formatSize(core.cache.bytes)}`;
  const what = `lies on a disk that is too small: ${maxSize}, ${formatSize(disk.free)} are free${has}`;
  return { findings: [wrong(where, what, mend)] };
}

/**
 * Content in use is evicted only after a few seconds, so a cache that is much too small can exceed its limit.
 */
function exceeded(core: ExaminedServer['core'], where: string): readonly Finding[] {
  if (core?.cache.maxSize === 0)
    return [
      wrong(where, 'may hold nothing: so little is free on its disk', 'make room there: a tenth stays free'),
    ];
  if (core === undefined || core.cache.bytes <= core.cache.maxSize) return [];
  const { bytes, maxSize } = core.cache;
  const what = `holds ${formatSize(bytes)}, and may hold ${formatSize(maxSize)}`;
  return [
    wrong(where, what, 'raise cache.maxSize, or give the cache a larger disk: what is in use is larger'),
  ];
}

async function leastSpace({ paths, config: { cache, log } }: ExaminedServer): Promise<Looked> {
  const places = [paths.home, cache.directory, path.dirname(log.audit)];
  const disks = await Promise.all(places.map(diskOf));
  const full = disks.findIndex(({ free }) => free < LEAST_SPACE);
  if (full < 0) return { findings: [] };
  const what = `has ${formatSize(disks[full]?.free ?? 0)} left on its disk`;
  return { findings: [wrong(places[full] ?? '', what, 'make room there: state and audit log need some')] };
}

async function inodes({ config: { cache } }: ExaminedServer): Promise<Looked> {
  const { files, freeFiles } = await diskOf(cache.directory);
  // Some file systems make inodes as they are needed, and have no count of them.
  if (files === 0 || freeFiles >= LEAST_INODES) return { findings: [] };
  const mend = 'make a file system with more inodes there, or remove files: each blob is one';
  return { findings: [wrong(cache.directory, `has ${freeFiles} inodes left on its disk`, mend)] };
}

/** Returns the space of the disk on which a directory is, or will be. */
function diskOf(directory: string): Promise<DiskSpace> {
  return diskSpace(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    return diskSpace(path.dirname(directory));
  });
}
