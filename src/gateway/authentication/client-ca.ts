import type { X509Certificate } from 'node:crypto';
import { readAuthorities } from '../../platform/authority-file.ts';
import type { Logger } from '../../platform/log.ts';
import {
  ABSENT,
  stateOfFile,
  type WatchedFile,
  watchedSlowly,
  watchFile,
} from '../../platform/watched-files.ts';

/**
 * The current certificates of the authorities whose client certificates count. A change of the file gives
 * another list.
 */
export type ClientAuthorities = WatchedFile<readonly X509Certificate[]>;

/** A missing file contains no authorities: then no client certificate counts. */
export function followClientAuthorities(file: string, log: Logger): Promise<ClientAuthorities> {
  const read = async () => ((await stateOfFile(file)) === ABSENT ? { value: [] } : readAuthorities(file));
  return watchFile('file of client authorities', file, read, log, watchedSlowly([file]));
}
