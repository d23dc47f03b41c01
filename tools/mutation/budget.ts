import type { Mutant } from './mutant.ts';

const BUDGETS = ['test/core/budget/budgets.test.ts'];
const FILE = ['test/core/budget/budget-file.test.ts'];
const REPORT = ['test/commands/budget.test.ts'];
const ORACLE = ['test/core/budget/oracle.test.ts'];

/** The defences of an upstream’s quota, and of the counts of what was spent. */
export const budgetMutants: readonly Mutant[] = [
  {
    defence: 'a window of a limit never contains more than its maximum',
    file: 'src/core/budget/sliding-count.ts',
    find: 'if (first[0] < current - SUB_BUCKETS) this.#forget(current);',
    replace: 'if (first[0] <= current - SUB_BUCKETS) this.#forget(current + 1);',
    tests: BUDGETS,
  },
  {
    defence: 'a clock that is set back does not make counts last longer',
    file: 'src/core/budget/sliding-count.ts',
    find: 'if ((this.#buckets.at(-1)?.[0] ?? current) > current)',
    replace: 'if (false)',
    tests: BUDGETS,
  },
  {
    defence: 'what was not sent is given back to the budgets, and only once',
    file: 'src/core/budget/account-quota.ts',
    find: 'if (!this.#unanswered.delete(number)) return false;',
    replace: 'this.#unanswered.delete(number);',
    tests: BUDGETS,
  },
  {
    defence: 'of several limits the one that holds for longest is told',
    file: 'src/core/budget/limit-counts.ts',
    find: 'untilOf(refusal) <= untilOf(longest)) continue;',
    replace: 'untilOf(refusal) >= untilOf(longest)) continue;',
    tests: BUDGETS,
  },
  {
    defence: 'a reserve is for those alone whom it names',
    file: 'src/core/budget/account-quota.ts',
    find: 'if (kept > 0 && left <= kept) {',
    replace: 'if (kept > 0 && left < 0) {',
    tests: BUDGETS,
  },
  {
    defence: 'a pull under way is not taken for one that was made elsewhere, and not counted twice',
    file: 'src/core/budget/account-quota.ts',
    find: 'const most = least + Math.min(ours, this.#next - oldest);',
    replace: 'const most = least + Math.min(ours, 0 * oldest);',
    tests: BUDGETS,
  },
  {
    defence: 'what the upstream said counts until its window is over',
    file: 'src/core/budget/account-quota.ts',
    find: 'quota.readAt + quota.window * 1000 > now ? this.#reading : undefined',
    replace: 'quota.readAt > 0 ? this.#reading : undefined',
    tests: BUDGETS,
  },
  {
    defence: 'while more than half of a quota is left, nobody is refused for the sake of others',
    file: 'src/core/budget/account-quota.ts',
    find: "if (subject === '' || left > limit * BUDGET.shortBelow) return undefined;",
    replace: "if (subject === '') return undefined;",
    tests: BUDGETS,
  },
  {
    defence: 'a subject that has not asked for long does not make others wait',
    file: 'src/core/budget/fair-share.ts',
    find: 'const wants = at > now - windowMs * BUDGET.wantedFor && this',
    replace: 'const wants = at > 0 && this',
    tests: BUDGETS,
  },
  {
    defence: 'a subject above its share does not make others wait',
    file: 'src/core/budget/fair-share.ts',
    find: ' && this.#pulls.total(other, now) < share;',
    replace: ';',
    tests: BUDGETS,
  },
  {
    defence: 'the counts of a subject are those of the plainest rules, also after a kill',
    file: 'src/core/budget/fair-share.ts',
    find: 'if (last !== undefined) this.#asked.set(row.key,',
    replace: 'if (last === -1) this.#asked.set(row.key,',
    tests: [...FILE, ...ORACLE],
  },
  {
    defence: 'counts are written without being asked',
    file: 'src/core/budget/budgets.ts',
    find: 'this.#timer ??= setTimeout(() => this.flush(), BUDGET.writeAfter).unref();',
    replace: 'this.#timer = undefined;',
    tests: FILE,
  },
  {
    defence: 'no limit applies while the counts cannot be read',
    file: 'src/core/budget/budgets.ts',
    find: 'const isFree = spender === NOBODY || this.#failure !== null;',
    replace: 'const isFree = spender === NOBODY;',
    tests: FILE,
  },
  {
    defence: 'a count that its window has left behind is not written again when a pull is given back',
    file: 'src/core/budget/count-table.ts',
    find: 'if (this.#entries.get(entry.key) !== entry) return;',
    replace: '',
    tests: FILE,
  },
  {
    defence: 'a stated quota counts where the upstream names none',
    file: 'src/core/budget/account-reports.ts',
    find: 'budgets.statedQuota(host, account.name) ?? account.quota',
    replace: 'account.quota',
    tests: REPORT,
  },
  {
    defence: 'lines of the audit log from before the period do not count',
    file: 'src/commands/budget/spent-pulls.ts',
    find: ' || Date.parse(line.time) < since) continue;',
    replace: ') continue;',
    tests: REPORT,
  },
  {
    defence: 'a line of the audit log is read whole, wherever the file is cut into pieces',
    file: 'src/commands/audited-lines.ts',
    find: 'filled = buffer.copy(buffer, 0, end, filled);',
    replace: 'filled = 0;',
    tests: REPORT,
  },
  {
    defence: 'doctor says that no limit applies',
    file: 'src/commands/doctor/server/budget.ts',
    find: "const off = failure === null ? [] : [wrong('limits",
    replace: "const off = failure === '' ? [] : true ? [] : [wrong('limits",
    tests: REPORT,
  },
  {
    defence: 'doctor says that a quota will soon be empty',
    file: 'src/commands/doctor/server/budget.ts',
    find: 'emptyAt > now + SOON) return [];',
    replace: 'emptyAt > now) return [];',
    tests: REPORT,
  },
  {
    defence: 'warm leaves what the policy reserves for others',
    file: 'src/commands/warm/quota-guard.ts',
    find: 'return Math.max(usual, limit * reserved);',
    replace: 'return usual;',
    tests: ['test/commands/warm/warm.test.ts'],
  },
  {
    defence: 'a file that could not be written is tried again',
    file: 'src/core/budget/budgets.ts',
    find: 'this.#file ??= new BudgetFile(this.#options.file);',
    replace: 'if (this.#file === undefined) return;',
    tests: FILE,
  },
];
