import type { Parsed } from '../platform/fault.ts';
import { PersistentWorker, SHORT_TEXT } from '../platform/scheduling/persistent-worker.ts';
import { runInSlices } from '../platform/scheduling/time-slicing.ts';
import type { PolicyContext } from './policy-context.ts';
import { type PolicySource, parsePolicy } from './policy-file.ts';
import type { PolicyParserAnswer } from './policy-parser-worker.ts';
import { deserializingPolicy, type SerializedPolicy, serializePolicy } from './serialized-policy.ts';

/**
 * Parses policies like `parsePolicy`. Long ones are parsed in a worker, because they take up to a second or
 * two.
 */
export class PolicyParser implements Disposable {
  readonly #thread = new PersistentWorker<PolicyParserAnswer, Parsed<string>>(
    new URL('./policy-parser-worker.ts', import.meta.url),
  );

  readonly #context: PolicyContext;

  constructor(context: PolicyContext) {
    this.#context = context;
  }

  /** @param now in milliseconds */
  async parse(sources: readonly PolicySource[], now: number): Promise<Parsed<SerializedPolicy>> {
    const length = sources.reduce((sum, { text }) => sum + text.length, 0);
    if (length <= SHORT_TEXT) return serializedOf(parsePolicy(sources, now, this.#context));
    const parsed = await this.#thread.ask({ sources, now, context: this.#context });
    if ('faults' in parsed) return parsed;
    const { value: serialized, ...others } = parsed;
    return { ...others, value: { policy: await runInSlices(deserializingPolicy(serialized)), serialized } };
  }

  [Symbol.dispose](): void {
    this.#thread[Symbol.dispose]();
  }
}

function serializedOf(parsed: ReturnType<typeof parsePolicy>): Parsed<SerializedPolicy> {
  if ('faults' in parsed) return parsed;
  const { policy } = parsed.value;
  return { ...parsed, value: { policy, serialized: serializePolicy(policy.data) } };
}
