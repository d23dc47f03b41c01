import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { writeFileAtomically } from '../platform/atomic-file.ts';
import type { Clock } from '../platform/clock.ts';
import { type Fault, FaultsError, formatFault, type Parsed } from '../platform/fault.ts';
import type { Logger } from '../platform/log.ts';
import { MutableValue, type ObservableValue } from '../platform/observable-value.ts';
import { isAbsent, readRegularFile } from '../platform/regular-file.ts';
import { type WatchedFile, watchFiles } from '../platform/watched-files.ts';
import { directoryOf, readSources, stateOfPolicy } from './load-policy.ts';
import { compilePolicy, type Policy } from './policy.ts';
import type { PolicyContext } from './policy-context.ts';
import { POLICY_DATA } from './policy-data.ts';
import { PolicyParser } from './policy-parser.ts';
import { type SerializedPolicy, serializePolicy } from './serialized-policy.ts';

/** The limit in bytes. A policy may consist of many files. */
const MAX_KEPT = 256 * 2 ** 20;

export interface WatchPolicyOptions {
  /** The path of `access.yaml`. The files in `access.d` beside it are read with it. */
  readonly file: string;
  /** The file that stores the last valid policy, for a start without one. */
  readonly lastGood: string;
  readonly context: PolicyContext;
  readonly log: Logger;
  readonly clock: Clock;
}

/** The result of the last reading of the files. */
export interface PolicyStatus {
  readonly version: string;
  /** The number of refusals of the files since the start. */
  readonly refusals: number;
  /** The reason why the files are refused now; null if they are in force. */
  readonly refused: readonly string[] | null;
}

export interface WatchedPolicy extends WatchedFile<Policy> {
  /** The same policy in its serialized form. */
  readonly serialized: ObservableValue<string>;
  readonly status: PolicyStatus;
}

/**
 * Watches the policy's files. If they are torn or invalid, or fail their own tests, the last valid policy
 * stays in force, even after a restart, and the log says what is wrong.
 *
 * @throws FaultsError if they are invalid and there has never been a valid policy
 */
export async function watchPolicy(options: WatchPolicyOptions): Promise<WatchedPolicy> {
  const { file, log } = options;
  const state = () => stateOfPolicy(file);
  const seen = await state();
  using stack = new DisposableStack();
  const loader = stack.use(new PolicyLoader(options));
  const live = new MutableValue(await loader.first());
  const load = async () => {
    const next = await loader.read();
    if (next === undefined) return;
    const { version } = next.policy.data;
    if (version !== live.current.policy.data.version) {
      log.info({ version }, 'access policy changed');
      live.set(next);
    }
    await loader.keep(next);
  };
  const directories = [path.dirname(file), directoryOf(file)];
  const watching = stack.use(watchFiles({ state, seen, load, directories, log }));
  const changed = () => live.changed();
  const following = stack.move();
  return {
    get current() {
      return live.current.policy;
    },
    serialized: {
      get current() {
        return live.current.serialized;
      },
      changed,
    },
    get status() {
      return { version: live.current.policy.data.version, ...loader.verdict };
    },
    changed,
    look: () => watching.look(),
    [Symbol.dispose]: () => following[Symbol.dispose](),
  };
}

class PolicyLoader implements Disposable {
  readonly #options: WatchPolicyOptions;
  readonly #parser: PolicyParser;
  #refusals = 0;
  #refused: readonly string[] | null = null;

  constructor(options: WatchPolicyOptions) {
    this.#options = options;
    this.#parser = new PolicyParser(options.context);
  }

  get verdict(): Omit<PolicyStatus, 'version'> {
    return { refusals: this.#refusals, refused: this.#refused };
  }

  /** Returns undefined if the files are refused. */
  async read(): Promise<SerializedPolicy | undefined> {
    const read = await this.#parse();
    if ('faults' in read) {
      this.#refuse(read.faults);
      return undefined;
    }
    if (read.warnings?.length)
      this.#options.log.warn({ warnings: read.warnings.map(formatFault) }, 'access policy');
    this.#refused = null;
    return read.value;
  }

  async first(): Promise<SerializedPolicy> {
    const read = await this.#parse();
    if ('value' in read) {
      await this.keep(read.value);
      return read.value;
    }
    const kept = await this.#lastGood();
    if (kept === undefined) throw new FaultsError(read.faults);
    this.#refuse(read.faults);
    return { policy: kept, serialized: serializePolicy(kept.data) };
  }

  async #parse(): Promise<Parsed<SerializedPolicy>> {
    const { file, clock } = this.#options;
    const sources = await readSources(file);
    return 'faults' in sources ? sources : this.#parser.parse(sources.value, clock());
  }

  #refuse(faults: readonly Fault[]): void {
    this.#refusals++;
    this.#refused = faults.map(formatFault);
    this.#options.log.error({ faults: this.#refused }, 'access policy refused; the last good one holds');
  }

  async #lastGood(): Promise<Policy | undefined> {
    const { lastGood, log, context } = this.#options;
    try {
      const data = POLICY_DATA.parse(JSON.parse(String(await readRegularFile(lastGood, MAX_KEPT))));
      // Today's configuration may differ from the one under which the policy was written, so its forms are
      // used.
      return compilePolicy({ ...data, federations: context.forms });
    } catch (error) {
      if (!(await isAbsent(lastGood, error)))
        log.warn({ file: lastGood, err: error }, 'the last good policy cannot be read');
      return undefined;
    }
  }

  /** Stores the policy for the next start. A disk that cannot be written must not make an edit fail. */
  async keep({ serialized }: SerializedPolicy): Promise<void> {
    const { lastGood, log } = this.#options;
    try {
      await mkdir(path.dirname(lastGood), { recursive: true, mode: 0o750 });
      await writeFileAtomically(lastGood, serialized, 0o640);
    } catch (error) {
      log.error({ file: lastGood, err: error }, 'the policy cannot be kept for the next start');
    }
  }

  [Symbol.dispose](): void {
    this.#parser[Symbol.dispose]();
  }
}
