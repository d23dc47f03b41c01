import type { CompletedCommand, CompletedValue } from './completed-command.ts';
import { placesIn, quoted, valuesAt } from './places.ts';

/** Writes the script for bash, from 3.2 on. It does not need the package bash-completion. */
export function bashCompletion(root: CompletedCommand): string {
  const places = placesIn(root);
  const values = valuesAt(places);
  return `# Completes hubgate in bash: source <(hubgate completion bash)
_hubgate() {
  local at=hubgate word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]} i
  COMPREPLY=()
  # bash splits --role=core into three words.
  [ "$word" = = ] && word=
  [ "$before" = = ] && before=\${COMP_WORDS[COMP_CWORD - 2]}
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$at \${COMP_WORDS[i]}" in
      ${alternatives(values.map(({ words }) => words))})
        i=$((i + 1))
        [ "\${COMP_WORDS[i]}" = = ] && i=$((i + 1)) ;;
      ${alternatives(places.slice(1).map(({ words }) => words))})
        at="$at \${COMP_WORDS[i]}" ;;
    esac
  done
  case "$at $before" in
${values.map(({ words, value }) => `    ${quoted(words)}) ${replyWith(value)}; return ;;`).join('\n')}
  esac
  case "$at" in
${places.map(({ words, command }) => `    ${quoted(words)}) ${candidatesOf(command)} ;;`).join('\n')}
  esac
}
complete -F _hubgate hubgate`;
}

function alternatives(words: readonly string[]): string {
  return words.map(quoted).join('|');
}

/** Returns the options if the word begins with a dash; otherwise the verbs, or the possible arguments. */
function candidatesOf({ commands, options, arguments: values }: CompletedCommand): string {
  const flags = options.flatMap((option) => option.flags);
  const [value = { kind: 'text' }] = values;
  const others =
    commands.length > 0
      ? replyWith({ kind: 'choices', choices: commands.map(({ name }) => name) })
      : replyWith(value);
  return `case "$word" in -*) ${replyWith({ kind: 'choices', choices: flags })} ;; *) ${others} ;; esac`;
}

function replyWith(value: CompletedValue): string {
  switch (value.kind) {
    case 'choices':
      return `COMPREPLY=($(compgen -W ${quoted(value.choices.join(' '))} -- "$word"))`;
    case 'file':
      return `compopt -o filenames 2> /dev/null; local IFS=$'\\n'; COMPREPLY=($(compgen -f -- "$word"))`;
    case 'directory':
      return `compopt -o filenames 2> /dev/null; local IFS=$'\\n'; COMPREPLY=($(compgen -d -- "$word"))`;
    default:
      return ':';
  }
}
