import type { Command } from 'commander';

/**
 * The names that other programs have for our verbs, with the likeliest verb first. Commander itself suggests
 * verbs with a similar spelling.
 */
const SYNONYMS: Readonly<Record<string, readonly string[]>> = {
  add: ['create', 'issue'],
  create: ['add', 'issue'],
  new: ['add', 'create', 'issue'],
  delete: ['remove', 'revoke', 'purge'],
  del: ['remove', 'revoke', 'purge'],
  rm: ['remove', 'revoke', 'purge'],
  remove: ['revoke', 'purge'],
  revoke: ['remove'],
  ls: ['list'],
  show: ['list'],
  password: ['passwd'],
  lock: ['disable'],
  unlock: ['enable'],
  clear: ['purge'],
  prune: ['purge'],
  why: ['explain'],
  run: ['start'],
  serve: ['start'],
  validate: ['check'],
  version: ['--version'],
};

/** Returns the error that `command` has no such verb, and names the verb that was probably meant. */
export function withSynonym(error: string, command: Command): string {
  const [, unknown = ''] = /^error: unknown command '([^']*)'\n?$/.exec(error) ?? [];
  const names = [...command.commands.map((verb) => verb.name()), ...command.options.map(({ long }) => long)];
  const meant = Object.hasOwn(SYNONYMS, unknown)
    ? SYNONYMS[unknown]?.find((name) => names.includes(name))
    : undefined;
  return meant === undefined ? error : `${error.trimEnd()}\n(Did you mean ${meant}?)\n`;
}
