import type { CompletedCommand, CompletedOption, CompletedValue } from './completed-command.ts';
import { type CompletionPlace, placesIn, valuesAt } from './places.ts';

/**
 * Writes the script for fish. It is a file hubgate.fish in ~/.config/fish/completions, or text for `source`.
 */
export function fishCompletion(root: CompletedCommand): string {
  const places = placesIn(root);
  const words = (list: readonly { readonly words: string }[]) =>
    list.map((one) => fishWord(one.words)).join(' ');
  return `# Completes hubgate in fish: hubgate completion fish | source
function __hubgate_at
  set -l at hubgate
  set -l isvalue no
  for word in (commandline -opc)[2..-1]
    if test $isvalue = yes
      set isvalue no
      continue
    end
    switch "$at $word"
      case ${words(valuesAt(places))}
        set isvalue yes
      case ${words(places.slice(1))}
        set at "$at $word"
    end
  end
  test "$at" = "$argv"
end
complete -c hubgate -e
complete -c hubgate -f
${places.flatMap(linesOf).join('\n')}`;
}

function linesOf({ words, command }: CompletionPlace): string[] {
  const at = `complete -c hubgate -n ${fishWord(`__hubgate_at ${words}`)}`;
  const [value] = command.arguments;
  return [
    ...command.commands.map(({ name, description }) => `${at} -a ${name} -d ${fishWord(description)}`),
    ...command.options.map((option) => `${at} ${flagsOf(option)} -d ${fishWord(option.description)}`),
    ...(value === undefined || value.kind === 'text' ? [] : [`${at} ${candidates(value)}`]),
  ];
}

function flagsOf({ flags, value }: CompletedOption): string {
  const named = flags.map((flag) => (flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`));
  if (value === undefined) return named.join(' ');
  return [...named, '-r', candidates(value)].join(' ');
}

function candidates(value: CompletedValue): string {
  switch (value.kind) {
    case 'choices':
      return `-f -a ${fishWord(value.choices.join(' '))}`;
    case 'file':
      return '-F';
    case 'directory':
      return `-f -a '(__fish_complete_directories)'`;
    default:
      return '-f';
  }
}

/** Quotes a word for fish, which knows no other escapes within single quotes than these. */
function fishWord(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
