import { type Explanation, explain } from '../../access/explain.ts';
import { whyNoFederatedSubject } from '../../access/federated-pattern.ts';
import { parseNetwork } from '../../access/network.ts';
import type { Condition, Policy, Question } from '../../access/policy.ts';
import type { RuleData } from '../../access/policy-data.ts';
import { readSubject, writeSubject } from '../../access/subject.ts';
import { readUsers } from '../../auth/identity/users-file.ts';
import type { Environment } from '../../config/environment.ts';
import { CACHED_REPOSITORIES } from '../../registry/core-api.ts';
import { parseImage } from '../../registry/image.ts';
import { askRole } from '../ask-role.ts';
import { type HomePaths, pathsIn } from '../home.ts';
import { type ExitCode, printJson, printLine, type Terminal } from '../terminal.ts';
import { type AccessOptions, openPolicy, readTime, shownRule, writeRule } from './policy.ts';

export interface ExplainOptions extends AccessOptions {
  readonly from?: string;
  readonly at?: string;
}

/** What the mirror's private guard knows of a repository. */
type Visibility = 'public' | 'private' | 'unknown';

/** Says why a pull is allowed or denied. 0: allowed, 1: denied. */
export async function explainAccess(
  who: string,
  what: string,
  options: ExplainOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const paths = pathsIn(options.home);
  const question = readQuestion(who, what, options, terminal);
  if (question === undefined) return 2;
  const read = await openPolicy(paths, environment, terminal);
  if (read === undefined) return 2;
  const nobody = whyNobody(question, read.policy);
  if (nobody !== undefined) {
    printLine(terminal.stderr, `hubgate: "${who}": ${nobody}`);
    return 2;
  }
  const explanation = explain(read.policy, question);
  const visibility = await visibilityOf(question, paths);
  const isKnown = await isKnownUser(question, paths);
  if (options.json) printJson(terminal.stdout, asJson(explanation, question, visibility, paths));
  else printExplanation(explanation, { question, visibility, isKnown, paths, terminal });
  return explanation.decision === 'allow' ? 0 : 1;
}

/** A subject that no login can have would be explained as if somebody had it. */
function whyNobody({ subject }: Question, { data }: Policy): string | undefined {
  return subject.kind === 'oidc' ? whyNoFederatedSubject(subject.name, data.federations) : undefined;
}

function readQuestion(
  who: string,
  what: string,
  { from = '', at }: ExplainOptions,
  terminal: Terminal,
): Question | undefined {
  const subject = readSubject(who);
  const image = parseImage(what);
  const time = readTime(at, terminal);
  const isAddress = from === '' || (!from.includes('/') && parseNetwork([from]) !== undefined);
  const wrong = [
    subject === undefined ? `"${who}" is no subject: a user, service:…, cert:…, oidc:… or anonymous` : [],
    image === undefined ? `"${what}" is no repository, with a tag or without` : [],
    isAddress ? [] : `"${from}" is no address`,
  ].flat();
  for (const message of wrong) printLine(terminal.stderr, `hubgate: ${message}`);
  if (subject === undefined || image === undefined || time === undefined || !isAddress) return undefined;
  return { subject, ...image, address: from, at: time };
}

async function visibilityOf({ repository }: Question, { coreSocket }: HomePaths): Promise<Visibility> {
  const said = await askRole(coreSocket, { method: 'GET', path: '/cache', schema: CACHED_REPOSITORIES });
  const cached = typeof said === 'string' ? [] : said.answer;
  return cached.find(({ name }) => name === repository.name)?.visibility ?? 'unknown';
}

/** Undefined of subjects that are no users, and where the file cannot be read. */
async function isKnownUser({ subject }: Question, { users }: HomePaths): Promise<boolean | undefined> {
  if (subject.kind !== 'user') return undefined;
  const read = await readUsers(users);
  return 'value' in read ? read.value.has(subject.name) : undefined;
}

function asJson(
  { decision, private: reachesPrivate, rule, matched, nearly }: Explanation,
  { subject, repository, tag, address, at }: Question,
  visibility: Visibility,
  paths: HomePaths,
) {
  return {
    decision,
    rule: rule?.id ?? null,
    private: reachesPrivate,
    ...(rule?.because !== undefined && { because: rule.because }),
    subject: writeSubject(subject),
    repository: repository.name,
    tag: tag ?? null,
    from: address === '' ? null : address,
    at: new Date(at).toISOString(),
    visibility,
    matched: matched.map((one) => shownRule(one, paths)),
    nearly: nearly.map(({ rule: one, unmet }) => ({ ...shownRule(one, paths), unmet })),
  };
}

interface Shown {
  readonly question: Question;
  readonly visibility: Visibility;
  readonly isKnown: boolean | undefined;
  readonly paths: HomePaths;
  readonly terminal: Terminal;
}

function printExplanation(explanation: Explanation, shown: Shown): void {
  const { question, isKnown, paths, terminal } = shown;
  const { rule, matched, nearly } = explanation;
  const print = (text: string) => printLine(terminal.stdout, text);
  print(verdictOf(explanation, question));
  if (isKnown === false) print(`  ${writeSubject(question.subject)} is not in users.yaml`);
  if (rule === undefined) print('  no rule allows it');
  else print(`  decided by  ${written(rule, paths)}`);
  for (const other of matched.filter(({ id }) => id !== rule?.id))
    print(`  matches too ${written(other, paths)}`);
  if (explanation.decision === 'allow') {
    if (!explanation.private) print(`  ${GUARD[shown.visibility]}`);
    return;
  }
  if (rule !== undefined) print(`What would be needed: the deny ${rule.id} would have to go, or not match.`);
  else if (nearly.length === 0) print('What would be needed: a rule. None comes near.');
  else print('What would be needed, any of these:');
  for (const near of rule === undefined ? nearly : [])
    print(`  ${written(near.rule, paths)}: ${NEEDED[near.unmet](near.rule)}`);
}

function verdictOf({ decision, private: reachesPrivate }: Explanation, question: Question): string {
  const { subject, repository, tag } = question;
  const image = `${repository.name}${tag === undefined ? '' : `:${tag}`}`;
  if (decision === 'deny') return `deny: ${writeSubject(subject)} may not pull ${image}`;
  return `allow: ${writeSubject(subject)} may pull ${image}${reachesPrivate ? ', private content too' : ''}`;
}

function written(rule: RuleData, paths: HomePaths): string {
  const because = rule.because === undefined ? '' : `  (${rule.because})`;
  return `${rule.effect} ${writeRule(rule, paths)}${because}`;
}

/** What comes of a grant that does not reach private content. */
const GUARD: Readonly<Record<Visibility, string>> = {
  public: 'it is public, as the mirror last saw it',
  private:
    'but it is private, and the rule lacks private: true: it is answered as if there were no such repository',
  unknown:
    'if it is private, it is answered as if there were no such repository, for the rule lacks private: true;\n  whether it is, the mirror does not know yet, or none runs here',
};

const NEEDED: Readonly<Record<Condition, (rule: RuleData) => string>> = {
  repository: ({ pull }) => `a repository of ${pull.join(', ')}`,
  subject: ({ to }) => `for ${to.join(', ')}`,
  network: ({ from = [] }) => `from ${from.join(', ')}`,
  tag: ({ tags = [] }) => `for the tags ${tags.join(', ')}`,
  time: ({ until = 0 }) => `it has been over since ${new Date(until).toISOString()}`,
};
