import type { CompletedCommand, CompletedValue } from './completed-command.ts';

/** A command and the words that lead to it, such as `hubgate user add`. */
export interface CompletionPlace {
  readonly words: string;
  readonly command: CompletedCommand;
}

export function placesIn(command: CompletedCommand, above: readonly string[] = []): CompletionPlace[] {
  const words = [...above, command.name];
  return [
    { words: words.join(' '), command },
    ...command.commands.flatMap((below) => placesIn(below, words)),
  ];
}

/** Returns each option that takes a value, with the words before it, such as `hubgate start --role`. */
export function valuesAt(
  places: readonly CompletionPlace[],
): { readonly words: string; readonly value: CompletedValue }[] {
  return places.flatMap(({ words, command }) =>
    command.options.flatMap(({ flags, value }) =>
      value === undefined ? [] : flags.map((flag) => ({ words: `${words} ${flag}`, value })),
    ),
  );
}

/** Quotes a text as one word of a shell. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
