import type { CompletedCommand, CompletedValue } from './completed-command.ts';
import { placesIn, quoted, valuesAt } from './places.ts';

/** Writes the script for zsh. It is a file _hubgate in a directory of $fpath, or text for `source`. */
export function zshCompletion(root: CompletedCommand): string {
  const places = placesIn(root);
  const values = valuesAt(places);
  return `#compdef hubgate
# Completes hubgate in zsh: source <(hubgate completion zsh)
_hubgate() {
  local at=hubgate i
  local -a verbs options
  for ((i = 2; i < CURRENT; i++)); do
    case "$at $words[i]" in
      ${alternatives(values.map(({ words }) => words))}) ((i++)) ;;
      ${alternatives(places.slice(1).map(({ words }) => words))}) at="$at $words[i]" ;;
    esac
  done
  case "$at $words[CURRENT-1]" in
${values.map(({ words, value }) => `    ${quoted(words)}) ${replyWith(value)}; return ;;`).join('\n')}
  esac
  case "$at" in
${places.map(({ words, command }) => `    ${quoted(words)}) ${candidatesOf(command)} ;;`).join('\n')}
  esac
}
if [[ "$funcstack[1]" = _hubgate ]]; then
  _hubgate "$@"
else
  compdef _hubgate hubgate
fi`;
}

function alternatives(words: readonly string[]): string {
  return words.map(quoted).join('|');
}

function candidatesOf({ commands, options, arguments: values }: CompletedCommand): string {
  const flags = options.flatMap(({ flags, description }) =>
    flags.map((flag) => described(flag, description)),
  );
  const [value = { kind: 'text' }] = values;
  const verbs = commands.map(({ name, description }) => described(name, description));
  const others = commands.length > 0 ? `verbs=(${verbs.join(' ')}); _describe verb verbs` : replyWith(value);
  return `if [[ $PREFIX = -* ]]; then options=(${flags.join(' ')}); _describe -o option options; else ${others}; fi`;
}

/** Formats a name and its description for _describe, which ends the name at a colon. */
function described(name: string, description: string): string {
  return quoted(`${name.replaceAll(':', '\\:')}:${description}`);
}

function replyWith(value: CompletedValue): string {
  switch (value.kind) {
    case 'choices':
      return `compadd -- ${value.choices.map(quoted).join(' ')}`;
    case 'file':
      return '_files';
    case 'directory':
      return '_files -/';
    default:
      return ':';
  }
}
