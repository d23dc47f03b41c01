import type { Command } from 'commander';
import type { CompletedCommand, CompletedValue } from '../commands/completion/completed-command.ts';

/** Returns what a shell must know about `command` and about all commands below it. */
export function completedCommand(command: Command): CompletedCommand {
  const help = command.createHelp();
  const options = [...help.visibleOptions(command), ...help.visibleGlobalOptions(command)];
  return {
    name: command.name(),
    description: command.description(),
    commands: command.commands.map((below) => completedCommand(below)),
    options: options.map(({ long, short, description, required, argChoices, flags }) => ({
      flags: [long, short].filter((flag) => flag != null),
      description,
      ...(required && { value: completedValue(flags, argChoices) }),
    })),
    arguments: command.registeredArguments.map((argument) =>
      completedValue(`<${argument.name()}>`, argument.argChoices),
    ),
  };
}

/** Derives the kind of a value from its placeholder. */
function completedValue(placeholder: string, choices: readonly string[] | undefined): CompletedValue {
  if (choices !== undefined) return { kind: 'choices', choices };
  if (/<directory>/.test(placeholder)) return { kind: 'directory' };
  return { kind: /<(?:files?|images|edited)(?:\.\.\.)?>/.test(placeholder) ? 'file' : 'text' };
}
