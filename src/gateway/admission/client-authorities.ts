import type { X509Certificate } from 'node:crypto';
import { readAuthorities } from '../../platform/authority-file.ts';
import type { Logger } from '../../platform/log.ts';
import {
  ABSENT,
  type Followed,
  followFile,
  stateOfFile,
  watchedSlowly,
} from '../../platform/watched-files.ts';

/** Whose client certificates count, as the file says it now. Another list each time that it changes. */
export type ClientAuthorities = Followed<readonly X509Certificate[]>;

/** A missing file is one without authorities: then no certificate counts. */
export function followClientAuthorities(file: string, log: Logger): Promise<ClientAuthorities> {
  const read = async () => ((await stateOfFile(file)) === ABSENT ? { value: [] } : readAuthorities(file));
  return followFile('file of client authorities', file, read, log, watchedSlowly([file]));
}
