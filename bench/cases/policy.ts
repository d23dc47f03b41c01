import type { CaseGroup } from '../bench.ts';
import { timePolicy } from '../policy.ts';

const SIZES = [
  { rules: 10, users: 100 },
  { rules: 1_000, users: 10_000 },
  { rules: 10_000, users: 10_000 },
];
const QUICK_SIZES = 2;

/** Measures the cost of a decision, in this process, with the policy itself. */
export const POLICY: CaseGroup = {
  name: 'policy',
  title: 'Decisions of the policy',
  rounds: { full: 3, quick: 1 },
  async run(bench) {
    for (const size of bench.settings.quick ? SIZES.slice(0, QUICK_SIZES) : SIZES) {
      const [rules, users] = [size.rules.toLocaleString('en'), size.users.toLocaleString('en')];
      const { parsing, decisions } = timePolicy(size, bench.rounds);
      for (const { median, p99 } of decisions) {
        bench.record(`policy of ${rules} rules, ${users} users`, 'hubgate', {
          'decision µs': median,
          'p99 µs': p99,
          'parse ms': parsing,
        });
      }
    }
  },
};
