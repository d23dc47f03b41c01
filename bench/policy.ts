/**
 * Measures the cost of a decision with 1,000 rules and 10,000 users in 100 groups: `npm run bench:policy`.
 * Each decision of a round is timed alone, minus the cost of the clock itself, so that rare slow ones are
 * seen beside the median.
 */
import { performance } from 'node:perf_hooks';
import { type AccessQuestion, decide, type Policy } from '../src/access/policy.ts';
import { parsePolicy } from '../src/access/policy-file.ts';
import { formatFault } from '../src/platform/fault.ts';
import { parseTag } from '../src/registry/reference.ts';
import { resolveRepository } from '../src/registry/repository.ts';

const RULES = 1_000;
const USERS = 10_000;
const GROUPS = 100;
const ROUNDS = 5;
const DECISIONS = 200_000;
const NAMES = { upstreams: new Set(['docker.io', 'ghcr.io']), self: new Set<string>() };

/** The shapes of rules; a tenth of the rules has each of them. */
const SHAPES: readonly ((index: number) => string)[] = [
  (index) => `pull: "team-${index}/**", to: group:g${index % GROUPS}, private: true`,
  (index) => `pull: "acme/app-${index}-*", to: [group:g${index % GROUPS}, u${index}]`,
  (index) => `pull: [library/image-${index}, "ghcr.io/acme/tool-${index}"], to: authenticated`,
  (index) => `pull: "home/\${user}/v${index}/**", to: authenticated, private: true`,
  (index) => `pull: "**/public-${index}", to: u${index}`,
  (index) => `pull: "acme/**/shared-${index}", to: group:g${index % GROUPS}`,
  (index) => `pull: "release/r${index}", tags: ["1.*", "*-stable"], to: authenticated`,
  (index) =>
    `pull: "lab/l${index}/*", from: [10.${index % 250}.0.0/16, "2001:db8:${index}::/48"], to: anonymous`,
  (index) => `pull: "ghcr.io/org-${index}/*/bin", to: u${index * 7}, until: 2027-01-31`,
  (index) => `pull: "acme/app-${index}-*", to: u${index}, tags: [latest], because: pinned`,
];

export interface PolicySize {
  /** A multiple of ten. */
  readonly rules: number;
  readonly users: number;
  /** One more rule that grants, as it is written in a file. */
  readonly more?: string;
}

/**
 * Writes groups and rules as in access.yaml, without its first and last line. The last of `SHAPES` denies.
 */
export function policyRules({ rules, users, more }: PolicySize): string {
  const lines = ['groups:'];
  for (let group = 0; group < GROUPS; group++) {
    const members = Array.from({ length: users / GROUPS }, (_, member) => `u${member * GROUPS + group}`);
    lines.push(`  g${group}: [${members.join(', ')}]`);
  }
  const written = (shapes: typeof SHAPES) =>
    Array.from({ length: rules / SHAPES.length }, (_, index) =>
      shapes.map((shape) => `  - { ${shape(index)} }`),
    ).flat();
  const first = more === undefined ? [] : [`  - ${more}`];
  lines.push('allow:', ...first, ...written(SHAPES.slice(0, -1)), 'deny:', ...written(SHAPES.slice(-1)));
  return lines.join('\n');
}

function parse(text: string): Policy {
  const parsed = parsePolicy([{ source: 'access.yaml', label: 'access.yaml', text }], Date.now(), {
    forms: {},
  });
  if ('faults' in parsed) throw new Error(parsed.faults.map(formatFault).join('\n'));
  return parsed.value.policy;
}

const WRITTEN: readonly ((index: number, user: string) => string)[] = [
  (index) => `team-${index}/app/api`,
  (index) => `acme/app-${index}-web`,
  (index) => `library/image-${index}`,
  (index) => `ghcr.io/acme/tool-${index}`,
  (index, user) => `home/${user}/v${index}/x`,
  (index) => `some/where/deep/public-${index}`,
  (index) => `acme/a/b/shared-${index}`,
  (index) => `release/r${index}`,
  (index) => `lab/l${index}/bench`,
  (index) => `ghcr.io/org-${index}/x/bin`,
  (index) => `nobody/knows-${index}`,
  (index) => `acme/unknown/of-all-${index}`,
];

/**
 * Makes a question. Half of the subjects are in a group that the repository's rule names, so that hits and
 * misses are mixed.
 */
function question(index: number, { rules, users }: PolicySize): AccessQuestion {
  const rule = (index * 31) % (rules / SHAPES.length);
  const user = `u${index % 2 === 0 ? rule : (index * 7919) % users}`;
  const repository = resolveRepository(WRITTEN[index % WRITTEN.length]?.(rule, user) ?? '', [], NAMES);
  const tag = parseTag(index % 3 === 0 ? 'latest' : '1.2');
  if (repository === undefined || tag === undefined) throw new Error(`question ${index} is none`);
  return {
    action: 'pull',
    subject: index % 8 === 0 ? { kind: 'anonymous' } : { kind: 'user', name: user },
    address: index % 4 === 0 ? `::ffff:10.${rule % 250}.3.4` : '192.0.2.1',
    repository,
    at: Date.parse('2026-11-22T12:00:00Z'),
    ...(index % 5 !== 0 && { tag }),
  };
}

function questions(size: PolicySize): AccessQuestion[] {
  return Array.from({ length: 9_973 }, (_, index) => question(index, size));
}

/** Returns the microseconds of each of `DECISIONS` calls, the quickest first. */
function timed(asked: readonly AccessQuestion[], call: (question: AccessQuestion) => unknown): Float64Array {
  const times = new Float64Array(DECISIONS);
  for (let index = 0; index < DECISIONS; index++) {
    const one = asked[index % asked.length] as AccessQuestion;
    const begin = process.hrtime.bigint();
    call(one);
    times[index] = Number(process.hrtime.bigint() - begin) / 1_000;
  }
  return times.sort();
}

function at(times: Float64Array, part: number): number {
  return times[Math.floor(times.length * part)] ?? Number.NaN;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Returns the milliseconds, and the policy. */
function timeParsing(size: PolicySize): [number, Policy] {
  const text = `version: 1\n${policyRules(size)}\n...\n`;
  const begin = performance.now();
  const policy = parse(text);
  return [performance.now() - begin, policy];
}

export interface DecisionCost {
  /** In microseconds, minus the cost of the clock itself. */
  readonly median: number;
  readonly p99: number;
}

/** Times rounds of decisions of a policy of this size, after one round that warms up. */
function timeDecisions(policy: Policy, size: PolicySize, rounds: number): DecisionCost[] {
  const asked = questions(size);
  timed(asked, (one) => decide(policy, one));
  const clock = at(
    timed(asked, () => undefined),
    0.5,
  );
  return Array.from({ length: rounds }, () => {
    const times = timed(asked, (one) => decide(policy, one));
    return { median: Math.max(0, at(times, 0.5) - clock), p99: Math.max(0, at(times, 0.99) - clock) };
  });
}

/** Measures the cost of parsing one policy and of its decisions. */
export function timePolicy(size: PolicySize, rounds: number) {
  const [parsing, policy] = timeParsing(size);
  return { parsing, decisions: timeDecisions(policy, size, rounds) };
}

function run(): void {
  const size = { rules: RULES, users: USERS };
  const parsings = Array.from({ length: ROUNDS }, () => timeParsing(size)[0]).sort(
    (one, other) => one - other,
  );
  const kib = Math.round(policyRules(size).length / 1024);
  print(`parse: median ${parsings[Math.floor(ROUNDS / 2)]?.toFixed(0)} ms of ${ROUNDS}, for ${kib} KiB`);

  const [, policy] = timeParsing(size);
  const asked = questions(size);
  const granted = asked.filter((one) => decide(policy, one).decision === 'allow').length;
  print(
    `${policy.rules.length} rules, ${USERS} users; ${Math.round((100 * granted) / asked.length)} % granted`,
  );
  for (const [index, { median, p99 }] of timeDecisions(policy, size, ROUNDS).entries()) {
    print(
      `round ${index + 1}: median ${median.toFixed(2)} µs, p99 ${p99.toFixed(2)} µs per decision, of ${DECISIONS}`,
    );
  }
}

if (import.meta.main) run();
