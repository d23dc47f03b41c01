/**
 * What a decision costs, with 1,000 rules and 10,000 users in 100 groups: `npm run bench:policy`. Each decision of a round
 * is timed alone, less what the clock itself costs, so that rare slow ones are seen beside the median.
 */
import { performance } from 'node:perf_hooks';
import { decide, type Policy, type Question } from '../src/access/policy.ts';
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

/** As many of each shape as there are rules by ten of it. */
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
  /** One more that grants, as it is written in a file. */
  readonly more?: string;
}

/** Groups and rules as in access.yaml, without its first and last line. Of `SHAPES`, the last one refuses. */
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
  const parsed = parsePolicy([{ source: 'access.yaml', label: 'access.yaml', text }], Date.now());
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

/** Half of those that ask are in a group that the repository's rule names, so that hits and misses mix. */
function question(index: number): Question {
  const rule = (index * 31) % (RULES / SHAPES.length);
  const user = `u${index % 2 === 0 ? rule : (index * 7919) % USERS}`;
  const repository = resolveRepository(WRITTEN[index % WRITTEN.length]?.(rule, user) ?? '', [], NAMES);
  const tag = parseTag(index % 3 === 0 ? 'latest' : '1.2');
  if (repository === undefined || tag === undefined) throw new Error(`question ${index} is none`);
  return {
    subject: index % 8 === 0 ? { kind: 'anonymous' } : { kind: 'user', name: user },
    address: index % 4 === 0 ? `::ffff:10.${rule}.3.4` : '192.0.2.1',
    repository,
    at: Date.parse('2026-11-22T12:00:00Z'),
    ...(index % 5 !== 0 && { tag }),
  };
}

const QUESTIONS = Array.from({ length: 9_973 }, (_, index) => question(index));

/** Microseconds of each of `DECISIONS` calls, from the quickest. */
function timed(call: (question: Question) => unknown): Float64Array {
  const times = new Float64Array(DECISIONS);
  for (let index = 0; index < DECISIONS; index++) {
    const asked = QUESTIONS[index % QUESTIONS.length] as Question;
    const begin = process.hrtime.bigint();
    call(asked);
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

function run(): void {
  const text = `version: 1\n${policyRules({ rules: RULES, users: USERS })}\n...\n`;
  const parsings = Array.from({ length: ROUNDS }, () => {
    const begin = performance.now();
    parse(text);
    return performance.now() - begin;
  }).sort((one, other) => one - other);
  const kib = Math.round(text.length / 1024);
  print(`parse: median ${parsings[Math.floor(ROUNDS / 2)]?.toFixed(0)} ms of ${ROUNDS}, for ${kib} KiB`);

  const policy = parse(text);
  const granted = QUESTIONS.filter((asked) => decide(policy, asked).decision === 'allow').length;
  print(
    `${policy.rules.length} rules, ${USERS} users; ${Math.round((100 * granted) / QUESTIONS.length)} % granted`,
  );
  timed((asked) => decide(policy, asked));
  const clock = at(
    timed(() => undefined),
    0.5,
  );
  for (let round = 1; round <= ROUNDS; round++) {
    const times = timed((asked) => decide(policy, asked));
    const micros = (part: number) => Math.max(0, at(times, part) - clock).toFixed(2);
    print(`round ${round}: median ${micros(0.5)} µs, p99 ${micros(0.99)} µs per decision, of ${DECISIONS}`);
  }
}

if (import.meta.main) run();
