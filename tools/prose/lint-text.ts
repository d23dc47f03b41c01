import { TextlintKernel } from '@textlint/kernel';
import markdown from '@textlint/textlint-plugin-markdown';
import { doubledWord, sentenceLength, wordChoice } from './rules.ts';

const RULES = [
  { ruleId: 'sentence-length', rule: sentenceLength },
  { ruleId: 'doubled-word', rule: doubledWord },
  { ruleId: 'word-choice', rule: wordChoice },
];

/** Returns what is wrong with the prose of a Markdown text, with the line of each. */
export async function lintProse(text: string): Promise<readonly string[]> {
  const { messages } = await new TextlintKernel().lintText(text, {
    ext: '.md',
    plugins: [{ pluginId: 'markdown', plugin: markdown.default }],
    rules: RULES,
  });
  return messages.map(({ loc, message }) => `${loc.start.line}: ${message}`);
}
