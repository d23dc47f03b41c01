/** A worker that parses policies, returns them or what is wrong with them, and caches their entries. */
import type { Parsed } from '../platform/fault.ts';
import { answerQuestions } from '../platform/scheduling/persistent-worker.ts';
import { RememberedYaml } from '../platform/yaml/yaml-entry-cache.ts';
import type { SubjectForms } from './federated-pattern.ts';
import { type PolicySource, parsePolicyAgain } from './policy-file.ts';
import { writePolicy } from './serialized-policy.ts';

export interface WrittenPolicy {
  readonly sources: readonly PolicySource[];
  /** The time in milliseconds. */
  readonly now: number;
  readonly forms: SubjectForms;
}

const memory = new RememberedYaml();

answerQuestions(({ sources, now, forms }: WrittenPolicy): Parsed<string> => {
  const parsed = parsePolicyAgain(sources, now, forms, memory);
  return 'faults' in parsed ? parsed : { ...parsed, value: writePolicy(parsed.value.policy.data) };
});
