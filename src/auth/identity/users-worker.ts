/** This worker parses users files, and caches their entries. */
import type { Parsed } from '../../platform/fault.ts';
import { serveWorker } from '../../platform/scheduling/persistent-worker.ts';
import { YamlEntryCache } from '../../platform/yaml/yaml-entry-cache.ts';
import { parseUsers, type Users } from './users-file.ts';

export interface UsersParserAnswer {
  readonly file: string;
  readonly text: string;
}

const memory = new YamlEntryCache();

serveWorker(({ file, text }: UsersParserAnswer): Parsed<Users> => parseUsers(file, text, memory));
