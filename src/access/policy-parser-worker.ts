/** A worker that parses policies, returns them or what is wrong with them, and caches their entries. */
import type { Parsed } from '../platform/fault.ts';
import { serveWorker } from '../platform/scheduling/persistent-worker.ts';
import { YamlEntryCache } from '../platform/yaml/yaml-entry-cache.ts';
import type { PolicyContext } from './policy-context.ts';
import { type PolicySource, parsePolicyAgain } from './policy-file.ts';
import { serializePolicy } from './serialized-policy.ts';

export interface PolicyParserAnswer {
  readonly sources: readonly PolicySource[];
  /** The time in milliseconds. */
  readonly now: number;
  readonly context: PolicyContext;
}

const memory = new YamlEntryCache();

serveWorker(({ sources, now, context }: PolicyParserAnswer): Parsed<string> => {
  const parsed = parsePolicyAgain(sources, now, context, memory);
  return 'faults' in parsed ? parsed : { ...parsed, value: serializePolicy(parsed.value.policy.data) };
});
