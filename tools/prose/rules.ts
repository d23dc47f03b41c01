/**
 * The rules of the prose linter. They find what a program can find: a sentence that is too long to be
 * understood at once, a word that is written twice, and words that the glossary replaces by others.
 */
import type { TextlintRuleReporter } from '@textlint/kernel';

type Context = Parameters<TextlintRuleReporter>[0];
type Handlers = ReturnType<TextlintRuleReporter>;
type Node = Parameters<Context['report']>[0];

/** The most words of a sentence. */
const MOST_WORDS = 30;

/** What not to write, and what to write instead. Each begins and ends at the edge of a word. */
const INSTEAD: readonly (readonly [RegExp, string])[] = [
  [/\b(?:DockerHub|Dockerhub|docker hub)\b/, 'Docker Hub'],
  [/\b(?:Github|Gitlab|Postgres|Postgresql|Javascript|Nodejs|NodeJS)\b/, 'the name as its owner writes it'],
  [/\bk8s\b/i, 'Kubernetes'],
  [/\bwhitelist\w*/i, 'a list of what is allowed'],
  [/\bblacklist\w*/i, 'a list of what is denied'],
  [
    /\b(?:simply|easily|obviously|basically|just|very|quite|really)\b/i,
    'nothing: the sentence says the same without it',
  ],
  [/\b(?:utili[sz]e[ds]?|leverages?d?)\b/i, 'use'],
  [/\bin order to\b/i, 'to'],
  [/\b(?:due to the fact that|owing to)\b/i, 'because'],
  [/\bprior to\b/i, 'before'],
  [/\b(?:e\.g\.|i\.e\.|etc\.)/i, 'the English words'],
  [/\b(?:and\/or)\b/i, 'or'],
  [/\bwhilst\b/i, 'while'],
  [/\b(?:robot|bot|machine) accounts?\b/i, 'service account'],
  [/\b(?:access|authorization) rules?\b/i, 'rule'],
];

const DOUBLED = /(?<![\w-])([A-Za-z]+)\s+\1(?![\w-])/i;
/** English uses these twice. */
const MAY_BE_DOUBLED: ReadonlySet<string> = new Set(['that', 'had']);

/** A file, an address or an image, which is written as it is. */
const NAME = /\S*[\w-][./:@][\w/]\S*/g;

const SENTENCES = new Intl.Segmenter('en', { granularity: 'sentence' });
const WORDS = new Intl.Segmenter('en', { granularity: 'word' });

export const sentenceLength: TextlintRuleReporter = (context) =>
  onText(context, (text, report) => {
    for (const { segment } of SENTENCES.segment(text)) {
      // A list of files is not hard to follow.
      const count = [...WORDS.segment(segment.replaceAll(/`(?:code|name)`/g, ''))].filter(
        ({ isWordLike }) => isWordLike,
      ).length;
      if (count > MOST_WORDS)
        report(
          `a sentence has ${count} words, and more than ${MOST_WORDS} are hard to follow: ${segment.slice(0, 60)}…`,
        );
    }
  });

export const doubledWord: TextlintRuleReporter = (context) =>
  onText(context, (text, report) => {
    const [found, word = ''] = DOUBLED.exec(text) ?? [];
    if (found !== undefined && !MAY_BE_DOUBLED.has(word.toLowerCase())) report(`"${found}" is written twice`);
  });

export const wordChoice: TextlintRuleReporter = (context) =>
  onText(context, (text, report) => {
    for (const [unwanted, wanted] of INSTEAD) {
      const [found] = unwanted.exec(text) ?? [];
      if (found !== undefined) report(`instead of "${found}" write ${wanted}`);
    }
  });

/** Calls `examine` with the text of each paragraph, heading and table cell, without code and addresses. */
function onText(
  { Syntax, report, RuleError }: Context,
  examine: (text: string, report: (message: string) => void) => void,
): Handlers {
  const visit = (node: Node) =>
    examine(textOf(node).replace(NAME, '`name`'), (message) => report(node, new RuleError(message)));
  return { [Syntax.Paragraph]: visit, [Syntax.Header]: visit, [Syntax.TableCell]: visit };
}

/** Code is one word, so that the words around it are not taken for neighbours. */
function textOf(node: Node): string {
  if (node.type === 'Code') return '`code`';
  if (node.type === 'Html' || node.type === 'Image') return ' ';
  if ('children' in node && Array.isArray(node.children)) return node.children.map(textOf).join('');
  return 'value' in node && typeof node.value === 'string' ? node.value : '';
}
