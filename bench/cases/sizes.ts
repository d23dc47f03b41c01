import { KIB, MIB } from '../content.ts';

/** As people write it. */
export function writeSize(bytes: number): string {
  return bytes >= MIB ? `${bytes / MIB} MiB` : `${bytes / KIB} KiB`;
}
