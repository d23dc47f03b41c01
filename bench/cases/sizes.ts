import { KIB, MIB } from '../content.ts';

/** Writes a size as people do. */
export function writeSize(bytes: number): string {
  return bytes >= MIB ? `${bytes / MIB} MiB` : `${bytes / KIB} KiB`;
}
