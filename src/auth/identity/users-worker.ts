/** This worker parses users files, and caches their entries. */
import type { Parsed } from '../../platform/fault.ts';
import { answerQuestions } from '../../platform/scheduling/persistent-worker.ts';
import { RememberedYaml } from '../../platform/yaml/yaml-entry-cache.ts';
import { parseUsers, type Users } from './users-file.ts';

export interface WrittenUsers {
  readonly file: string;
  readonly text: string;
}

const memory = new RememberedYaml();

answerQuestions(({ file, text }: WrittenUsers): Parsed<Users> => parseUsers(file, text, memory));
