import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { writeFileAtomically } from '../platform/atomic-file.ts';
import type { Clock } from '../platform/clock.ts';
import { type Fault, FaultsError, formatFault } from '../platform/fault.ts';
import { LiveValue } from '../platform/live.ts';
import type { Logger } from '../platform/log.ts';
import { type Followed, watchFiles } from '../platform/watched-files.ts';
import { directoryOf, readPolicy, readSources, stateOfPolicy } from './load-policy.ts';
import { parseApart } from './parse-apart.ts';
import { compilePolicy, type Policy } from './policy.ts';
import { POLICY_DATA } from './policy-data.ts';

export interface FollowPolicyOptions {
  /** `access.yaml`; what lies in `access.d` beside it is read with it. */
  readonly file: string;
  /** Where the last policy that was good is kept, for a start that finds none. */
  readonly lastGood: string;
  readonly log: Logger;
  readonly clock: Clock;
}

/** What became of the files when they were read last. */
export interface PolicyStatus {
  readonly version: string;
  /** How often the files were refused since the start. */
  readonly refusals: number;
  /** Why they are refused now; null where they are what holds. */
  readonly refused: readonly string[] | null;
}

export interface FollowedPolicy extends Followed<Policy> {
  readonly status: PolicyStatus;
}

/**
 * Follows the policy's files. Where they are torn or wrong, or fail their own tests, the last good policy goes on to hold,
 * over a start too, and the log says what is wrong.
 *
 * @throws FaultsError where they are wrong and there has never been a good one.
 */
export async function followPolicy(options: FollowPolicyOptions): Promise<FollowedPolicy> {
  const { file, log } = options;
  const state = () => stateOfPolicy(file);
  const seen = await state();
  const keeper = new PolicyKeeper(options);
  const live = new LiveValue(await keeper.first());
  const load = async () => {
    const next = await keeper.read();
    if (next !== undefined && next.data.version !== live.current.data.version) {
      log.info({ version: next.data.version }, 'access policy changed');
      live.set(next);
    }
  };
  const directories = [path.dirname(file), directoryOf(file)];
  const watching = watchFiles({ state, seen, load, directories, log });
  return {
    get current() {
      return live.current;
    },
    get status() {
      return { version: live.current.data.version, ...keeper.verdict };
    },
    changed: () => live.changed(),
    look: () => watching.look(),
    [Symbol.dispose]: () => watching[Symbol.dispose](),
  };
}

class PolicyKeeper {
  readonly #options: FollowPolicyOptions;
  #refusals = 0;
  #refused: readonly string[] | null = null;

  constructor(options: FollowPolicyOptions) {
    this.#options = options;
  }

  get verdict(): Omit<PolicyStatus, 'version'> {
    return { refusals: this.#refusals, refused: this.#refused };
  }

  /** Undefined where the files are refused. */
  async read(): Promise<Policy | undefined> {
    const { file, clock, log } = this.#options;
    const sources = await readSources(file);
    const read = 'faults' in sources ? sources : await parseApart(sources.value, clock());
    if ('faults' in read) {
      this.#refuse(read.faults);
      return undefined;
    }
    if (read.warnings?.length) log.warn({ warnings: read.warnings.map(formatFault) }, 'access policy');
    this.#refused = null;
    await this.#keep(read.value);
    return read.value;
  }

  async first(): Promise<Policy> {
    const { file, clock } = this.#options;
    const read = await readPolicy(file, clock());
    const kept = await this.#lastGood();
    if ('value' in read) {
      await this.#keep(read.value.policy);
      return read.value.policy;
    }
    if (kept === undefined) throw new FaultsError(read.faults);
    this.#refuse(read.faults);
    return kept;
  }

  #refuse(faults: readonly Fault[]): void {
    this.#refusals++;
    this.#refused = faults.map(formatFault);
    this.#options.log.error({ faults: this.#refused }, 'access policy refused; the last good one holds');
  }

  async #lastGood(): Promise<Policy | undefined> {
    const { lastGood, log } = this.#options;
    try {
      return compilePolicy(POLICY_DATA.parse(JSON.parse(await readFile(lastGood, 'utf8'))));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        log.warn({ file: lastGood, error: (error as Error).message }, 'the last good policy cannot be read');
      return undefined;
    }
  }

  /** A disk that cannot be written is no reason to refuse an edit. */
  async #keep({ data }: Policy): Promise<void> {
    const { lastGood, log } = this.#options;
    try {
      await mkdir(path.dirname(lastGood), { recursive: true, mode: 0o750 });
      await writeFileAtomically(lastGood, JSON.stringify(data), 0o640);
    } catch (error) {
      log.error(
        { file: lastGood, error: (error as Error).message },
        'the policy cannot be kept for the next start',
      );
    }
  }
}
