import { whyNoDirectoryGroup } from '../../access/directory-group.ts';
import { type Explanation, explain } from '../../access/explain.ts';
import { whyNoFederatedSubject } from '../../access/federated-pattern.ts';
import type { AccessQuestion, Condition, Policy } from '../../access/policy.ts';
import type { RuleData } from '../../access/policy-data.ts';
import { formatSubject, hasDirectoryGroups, isFederated, parseWrittenSubject } from '../../access/subject.ts';
import type { Environment } from '../../config/environment.ts';
import { type HomePaths, pathsIn } from '../../config/home.ts';
import { hostedNames } from '../../config/hosted.ts';
import { type ExitCode, printJson, printLine, type Terminal } from '../../launch/terminal.ts';
import { parseNetwork } from '../../platform/network.ts';
import type { Action } from '../../registry/action.ts';
import { ANY_NAMES, parseImage } from '../../registry/image.ts';
import { type HostedNamespaces, isHosted } from '../../registry/repository.ts';
import { findKnown, formatUnknown, type KnownTarget, unknownIn } from './known.ts';
import { describeEntry, displayedEntry, formatEntry } from './limit-text.ts';
import { formatUsed, type UsedLimits, usedInJson, usedOf } from './limit-use.ts';
import { type LimitedTokens, limitedTokenLines, limitedTokens } from './limited-tokens.ts';
import { readPeopleGroups } from './people-groups.ts';
import {
  type AccessOptions,
  displayedRule,
  formatContent,
  formatRule,
  openPolicy,
  parseTimeOrPrint,
} from './policy.ts';

export interface ExplainOptions extends AccessOptions {
  readonly from?: string;
  readonly at?: string;
  readonly action?: Action;
  /** Groups of directories, such as `corp/payments`, which the subject has besides those that are known. */
  readonly group?: readonly string[];
  /** True if the pull is of private content. Read access to public content alone does not allow it. */
  readonly private?: boolean;
}

/**
 * Prints why a pull is allowed or denied. Returns 0 if it is allowed (with `private`, for private content
 * too), and 1 if it is denied.
 */
export async function explainAccess(
  who: string,
  what: string,
  options: ExplainOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const paths = pathsIn(options.home);
  const read = await openPolicy(paths, environment, terminal);
  if (read === undefined) return 2;
  const question = readQuestion(who, what, options, hostedNames(read.config.hosted), terminal);
  if (question === undefined) return 2;
  const nobody = whyNobody(question, read.policy);
  if (nobody !== undefined) {
    printLine(terminal.stderr, `hubgate: "${who}": ${nobody}`);
    return 2;
  }
  const { config, policy } = read;
  const given = readGroups(options, config.logins, terminal);
  if (given === undefined) return 2;
  const people = await readPeopleGroups([policy], { config, home: options.home, environment });
  const groups = [...new Set([...people.of(question.subject), ...given])];
  const explanation = explain(policy, { ...question, groups });
  const found = await findKnown(question, question.subject, config, paths);
  const isPerson = hasDirectoryGroups(question.subject) && people.names.has(question.subject.name);
  const known = isPerson ? { ...found, user: true } : found;
  const used = await usedOf(explanation.limits, question, paths);
  const tokens =
    explanation.decision === 'allow' ? await limitedTokens(question, options.home, environment) : [];
  const asksPrivate = options.private ?? false;
  const asked = { ...question, groups };
  if (options.json) printJson(terminal.stdout, asJson(explanation, asked, { known, used, tokens }, paths));
  else printExplanation(explanation, { question, known, used, tokens, asksPrivate, paths, terminal });
  return explanation.decision === 'allow' && (!asksPrivate || explanation.private) ? 0 : 1;
}

/** Returns undefined after saying which of the groups nobody can have. */
function readGroups(
  { group = [] }: ExplainOptions,
  logins: readonly { readonly name: string }[],
  terminal: Terminal,
): readonly string[] | undefined {
  const names = logins.map(({ name }) => name);
  const wrong = group.flatMap((one) => whyNoDirectoryGroup(one, names) ?? []);
  for (const message of wrong) printLine(terminal.stderr, `hubgate: ${message}`);
  return wrong.length === 0 ? group : undefined;
}

/** Refuses a subject that no login can have, because an explanation would suggest that somebody has it. */
function whyNobody({ subject }: AccessQuestion, { data }: Policy): string | undefined {
  return isFederated(subject) ? whyNoFederatedSubject(subject, data.federations) : undefined;
}

function readQuestion(
  who: string,
  what: string,
  { from = '', at, action = 'pull' }: ExplainOptions,
  hosted: HostedNamespaces | undefined,
  terminal: Terminal,
): AccessQuestion | undefined {
  const subject = parseWrittenSubject(who);
  const image = parseImage(what, { ...ANY_NAMES, hosted });
  const time = parseTimeOrPrint(at, terminal);
  const isAddress = from === '' || (!from.includes('/') && parseNetwork([from]) !== undefined);
  const wrong = [
    subject === undefined ? `"${who}" is no subject: a user, service:…, cert:…, oidc:… or anonymous` : [],
    image === undefined ? `"${what}" is no repository, with a tag or without` : [],
    isAddress ? [] : `"${from}" is no address`,
  ].flat();
  for (const message of wrong) printLine(terminal.stderr, `hubgate: ${message}`);
  if (subject === undefined || image === undefined || time === undefined || !isAddress) return undefined;
  return { action, subject, ...image, address: from, at: time };
}

function asJson(
  { decision, private: reachesPrivate, rule, matched, nearly, limits, reserves }: Explanation,
  { subject, groups = [], repository, tag, address, at }: AccessQuestion,
  { known, used, tokens }: Pick<ExplainedDecision, 'known' | 'used' | 'tokens'>,
  paths: HomePaths,
) {
  return {
    decision,
    rule: rule?.id ?? null,
    private: reachesPrivate,
    content: decision === 'allow' ? formatContent(reachesPrivate) : null,
    ...(rule?.because !== undefined && { because: rule.because }),
    subject: formatSubject(subject),
    ...(groups.length > 0 && { groups }),
    repository: repository.name,
    tag: tag ?? null,
    from: address === '' ? null : address,
    at: new Date(at).toISOString(),
    visibility: known.visibility,
    known: { user: known.user, upstream: known.upstream, tag: known.tag },
    matched: matched.map((one) => displayedRule(one, paths)),
    nearly: nearly.map(({ rule: one, unmet }) => ({ ...displayedRule(one, paths), unmet })),
    limits: limits.map((data) => {
      return { ...displayedEntry({ kind: 'limit', data }, paths), used: usedInJson(data, used) };
    }),
    reserves: reserves.map(({ reserve: data, isOwn }) => {
      return { ...displayedEntry({ kind: 'reserve', data }, paths), own: isOwn };
    }),
    limitedTokens: typeof tokens === 'string' ? null : tokens,
  };
}

interface ExplainedDecision {
  readonly question: AccessQuestion;
  readonly known: KnownTarget;
  readonly used: UsedLimits;
  readonly tokens: LimitedTokens;
  readonly asksPrivate: boolean;
  readonly paths: HomePaths;
  readonly terminal: Terminal;
}

function printExplanation(explanation: Explanation, explained: ExplainedDecision): void {
  const { question, known, asksPrivate, paths, terminal } = explained;
  const { rule, matched, nearly } = explanation;
  const print = (text: string) => printLine(terminal.stdout, text);
  const unknown = unknownIn(known, question, question.subject);
  print(verdictOf(explanation, explained) + formatUnknown(unknown));
  if (rule === undefined) print('  no rule allows it');
  else print(`  decided by  ${written(rule, paths)}`);
  for (const other of matched.filter(({ id }) => id !== rule?.id))
    print(`  matches too ${written(other, paths)}`);
  if (explanation.decision === 'allow') {
    if (!explanation.private) print(`  ${guardOf(explained)}`);
    const limits = limitLines(explanation, explained.used, paths);
    for (const line of [...limits, ...limitedTokenLines(explained.tokens)]) print(`  ${line}`);
    const isPrivate = asksPrivate || known.visibility === 'private';
    if (isPrivate && !explanation.private)
      printNeeded(
        'a rule with private: true',
        nearly.filter((near) => near.rule.private),
        explained,
      );
    return;
  }
  if (rule !== undefined) print(`What would be needed: the deny ${rule.id} would have to go, or not match.`);
  else printNeeded('a rule', nearly, explained);
}

/** Prints the rules that fail one condition only. */
function printNeeded(
  what: string,
  nearly: Explanation['nearly'],
  { paths, terminal }: Pick<ExplainedDecision, 'paths' | 'terminal'>,
): void {
  const print = (text: string) => printLine(terminal.stdout, text);
  if (nearly.length === 0)
    return print(`What would be needed: ${what} for this repository. No rule comes close.`);
  print(`What would be needed: ${what}. In each of these, one condition does not match:`);
  for (const { rule, unmet } of nearly) print(`  ${written(rule, paths)}: ${NEEDED[unmet](rule)}`);
}

/** Says which limits count the pull, and what is reserved of the quota. */
function limitLines({ limits, reserves }: Explanation, used: UsedLimits, paths: HomePaths): string[] {
  return [
    ...limits.map((data) => {
      const entry = { kind: 'limit', data } as const;
      return `limited by  ${formatEntry(entry, paths)}: ${describeEntry(entry)}${formatUsed(data, used)}`;
    }),
    ...reserves.map(({ reserve: data, isOwn }) => {
      const entry = { kind: 'reserve', data } as const;
      return `${isOwn ? 'may use    ' : 'may not use'} the reserve ${formatEntry(entry, paths)}: ${describeEntry(entry)}`;
    }),
  ];
}

function verdictOf(
  { decision, private: reachesPrivate }: Explanation,
  { question, asksPrivate }: ExplainedDecision,
): string {
  const { action, subject, repository, tag } = question;
  const who = formatSubject(subject);
  const image = `${repository.name}${tag === undefined ? '' : `:${tag}`}`;
  if (decision === 'deny') return `deny: ${who} may not ${action} ${image}`;
  if (asksPrivate && !reachesPrivate) return `deny: ${who} may pull ${image} only where it is public`;
  const content = isHosted(repository) ? '' : `, ${formatContent(reachesPrivate)}`;
  return `allow: ${who} may ${action} ${image}${content}`;
}

function written(rule: RuleData, paths: HomePaths): string {
  const because = rule.because === undefined ? '' : `  (${rule.because})`;
  return `${rule.effect} ${formatRule(rule, paths)}${because}`;
}

/** Says what happens if the read access does not include private content. */
const GUARD: Readonly<Record<KnownTarget['visibility'], string>> = {
  public: 'it is public, as the mirror last saw it',
  private:
    'but it is private, and none of these rules has private: true: it is answered as if there were no such repository',
  unknown:
    'if it is private, it is answered as if there were no such repository, because none of these rules has private: true',
};

function guardOf({ known: { visibility }, asksPrivate }: ExplainedDecision): string {
  const isOpen = visibility === 'unknown' && !asksPrivate;
  return `${GUARD[visibility]}${isOpen ? '; --private says what would be needed' : ''}`;
}

const NEEDED: Readonly<Record<Condition, (rule: RuleData) => string>> = {
  action: ({ action = 'pull' }) => `another action: it is about ${action}`,
  repository: ({ pull }) => `a repository of ${pull.join(', ')}`,
  subject: ({ to }) => `for ${to.join(', ')}`,
  network: ({ from = [] }) => `from ${from.join(', ')}`,
  tag: ({ tags = [] }) => `for the tags ${tags.join(', ')}`,
  time: ({ until = 0 }) => `it has been over since ${new Date(until).toISOString()}`,
};
