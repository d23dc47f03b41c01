import { reasonOf } from '../../platform/reason.ts';
import { Deadline, DeadlineError } from '../../platform/scheduling/deadline.ts';

/** Something that is wrong, or, at level `unknown`, that could not be determined. */
export interface Finding {
  readonly level: 'wrong' | 'unknown';
  /** The file, the setting, or the peer that was asked. */
  readonly where: string;
  /** The mistake, as a clause whose subject is `where`. */
  readonly what: string;
  /** The advice on how to correct it. */
  readonly mend: string;
}

/** The result of one check. */
export type Looked =
  | {
      readonly findings: readonly Finding[];
      /** A fact that is worth knowing, whether all is well or not. */
      readonly said?: string;
    }
  /** There is nothing to check, or another check says why it is impossible. */
  | { readonly skipped: string };

export interface Check {
  readonly name: string;
  readonly look: () => Promise<Looked>;
}

export type Checked = { readonly name: string } & (
  | {
      readonly outcome: 'ok' | 'wrong' | 'unknown';
      readonly findings: readonly Finding[];
      readonly said?: string;
    }
  | { readonly outcome: 'skipped'; readonly why: string }
);

/** The time-out in milliseconds. It is longer than a role takes for a question to an upstream that hangs. */
const LONGEST = 25_000;

/** Returns a finding. `mend` says what to do about it. */
export function wrong(where: string, what: string, mend: string): Finding {
  return { level: 'wrong', where, what, mend };
}

export function unknown(where: string, what: string, mend: string): Finding {
  return { level: 'unknown', where, what, mend };
}

export function runAll(checks: readonly Check[], longest = LONGEST): Promise<readonly Checked[]> {
  return Promise.all(checks.map((check) => run(check, longest)));
}

/**
 * Runs one check. If it fails, for example because this user may not read a file, the others are still
 * reported.
 */
async function run({ name, look }: Check, longest: number): Promise<Checked> {
  using deadline = new Deadline(longest);
  try {
    const looked = await deadline.bound(look());
    if ('skipped' in looked) return { name, outcome: 'skipped', why: looked.skipped };
    return { name, outcome: outcomeOf(looked.findings), ...looked };
  } catch (error) {
    const why = error instanceof DeadlineError ? `took longer than ${longest / 1000} s` : reasonOf(error);
    const finding = unknown(
      name,
      `could not be looked at: ${why}`,
      'look again as root, or as the service’s user',
    );
    return { name, outcome: 'unknown', findings: [finding] };
  }
}

function outcomeOf(findings: readonly Finding[]): 'ok' | 'wrong' | 'unknown' {
  if (findings.some(({ level }) => level === 'wrong')) return 'wrong';
  return findings.length > 0 ? 'unknown' : 'ok';
}
