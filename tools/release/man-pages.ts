/** The manual pages: one about hubgate, and one about each of its verbs, made from the help of the verbs. */
import type { Command } from 'commander';
import { verbHelp } from '../../src/bin/help.ts';
import { program } from '../../src/bin/hubgate.ts';

export interface ManPage {
  /** `hubgate-start`. */
  readonly name: string;
  /** The page in the language of man(7). */
  readonly text: string;
}

const EXIT_STATUS = [
  '.SH "EXIT STATUS"',
  '.TP',
  '0',
  'The command is done.',
  '.TP',
  '1',
  'It was refused, or something is wrong.',
  '.TP',
  '2',
  'The usage or the configuration is bad.',
];

export function manPages(version: string, time: Date): ManPage[] {
  const hubgate = program(() => {});
  const day = time.toISOString().slice(0, 10);
  const titled = (name: string, lines: readonly string[]) => ({
    name,
    text: `${[`.TH ${roff(name.toUpperCase())} 1 "${day}" "Hubgate ${version}" "User Commands"`, ...lines].join('\n')}\n`,
  });
  const verbs = hubgate.commands.filter((verb) => verb.name() !== 'help');
  const all = [
    '.SH COMMANDS',
    ...verbs.flatMap((verb) => [
      '.TP',
      `\\fBhubgate\\-${roff(verb.name())}\\fR(1)`,
      sentence(verb.description()),
    ]),
  ];
  return [
    titled('hubgate', [
      ...head(hubgate, ['hubgate']),
      ...all,
      ...optionLines(hubgate, '.SH OPTIONS'),
      ...tail([]),
    ]),
    ...verbs.map((verb) => {
      const words = [verb.name()];
      const below = verb.commands.flatMap((one) => subsection(one, [...words, one.name()]));
      return titled(`hubgate-${verb.name()}`, [
        ...head(verb, ['hubgate', ...words]),
        ...(below.length > 0 ? ['.SH COMMANDS', ...below] : []),
        ...optionLines(verb, '.SH OPTIONS'),
        ...tail(words),
        '.SH "SEE ALSO"',
        '.BR hubgate (1)',
      ]);
    }),
  ];
}

function head(command: Command, words: readonly string[]): string[] {
  return [
    '.SH NAME',
    `${roff(words.join('-'))} \\- ${roff(command.description())}`,
    '.SH SYNOPSIS',
    `.B ${usageOf(command)}`,
    '.SH DESCRIPTION',
    sentence(command.description()),
  ];
}

function subsection(command: Command, words: readonly string[]): string[] {
  return [
    `.SS "hubgate ${roff(words.join(' '))}"`,
    `.B ${usageOf(command)}`,
    '.PP',
    sentence(command.description()),
    ...optionLines(command),
    ...exampleLines(words),
  ];
}

function tail(words: readonly string[]): string[] {
  const examples = exampleLines(words);
  return [...EXIT_STATUS, ...(examples.length > 0 ? ['.SH EXAMPLES', ...examples] : [])];
}

function optionLines(command: Command, heading?: string): string[] {
  const help = command.createHelp();
  const options = help
    .visibleOptions(command)
    .flatMap((option) => [
      '.TP',
      `\\fB${roff(help.optionTerm(option))}\\fR`,
      sentence(help.optionDescription(option)),
    ]);
  return options.length > 0 && heading !== undefined ? [heading, ...options] : options;
}

function exampleLines(words: readonly string[]): string[] {
  const { examples = [] } = verbHelp(words) ?? {};
  if (examples.length === 0) return [];
  return ['.PP', '.nf', ...examples.map((example) => `$ hubgate ${roff(example)}`), '.fi'];
}

function usageOf(command: Command): string {
  return roff(command.createHelp().commandUsage(command));
}

function sentence(text: string): string {
  return roff(`${text.charAt(0).toUpperCase()}${text.slice(1)}.`);
}

/** Escapes what man(7) does not take literally. */
function roff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('"', '\\(dq')
    .replace(/^([.'])/, '\\&$1');
}
