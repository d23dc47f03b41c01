import type { Command } from 'commander';

/** Adds to an error about a missing argument that an option with several values took it, if one did. */
export function withGreedyOptions(error: string, command: Command): string {
  if (!error.startsWith('error: missing required argument')) return error;
  const greedy = command.options.filter(
    (one) => one.variadic && command.getOptionValue(one.attributeName()) !== undefined,
  );
  if (greedy.length === 0) return error;
  const options = greedy.map(({ long }) => long).join(' and ');
  const names = command.registeredArguments.map((one) => one.name().toUpperCase()).join(' ');
  return `${error.trimEnd()}\n(${options} takes every word that follows; write ${names} before it)\n`;
}
