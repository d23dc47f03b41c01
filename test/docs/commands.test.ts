import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { program } from '../../src/bin/hubgate.ts';

const ROOT = path.join(import.meta.dirname, '../..');

type Command = ReturnType<typeof program>;

const HUBGATE: Command = program(() => {});

interface Written {
  readonly place: string;
  /** What follows `hubgate`, up to a comment behind two spaces. */
  readonly words: readonly string[];
}

/** Returns the calls of `hubgate` on all pages: at the beginning of a line, and in code within a line. */
function writtenCommands(): Written[] {
  const call = /(?:^\s*(?:\$ )?|`)(?:npx |sudo -u \S+ )?hubgate (\S.*?)(?= {2,}|`|$)/g;
  // docs/cli.md is made from the verbs, and the decisions and the changelog also speak of what is no more.
  const pages = globSync(['README.md', 'CONTRIBUTING.md', 'docs/*.md', 'docs/clients/*.md'], {
    cwd: ROOT,
  }).filter((page) => page !== 'docs/cli.md');
  return pages.flatMap((page) =>
    readFileSync(path.join(ROOT, page), 'utf8')
      .split('\n')
      .flatMap((line, index) =>
        [...line.matchAll(call)].map(([, words = '']) => ({
          place: `${page}:${index + 1}`,
          words: words.split(/[ []+|\]/).filter((word) => word !== ''),
        })),
      ),
  );
}

/** Returns what no `hubgate` would accept. Arguments are not checked, except for the names of verbs. */
function mistakesIn({ place, words }: Written): string[] {
  let command = HUBGATE;
  const options = optionsOf(command);
  for (const word of words) {
    const below = command.commands.find((one) => one.name() === word);
    if (below === undefined) {
      const mustBeVerb = command.commands.length > 0 && !TAKES_MORE.has(command.name());
      if (mustBeVerb && /^[a-z][a-z-]*$/.test(word))
        return [`${place}: hubgate has no verb "${word}" in "${words.join(' ')}"`];
      break;
    }
    command = below;
    options.push(...optionsOf(command));
  }
  const flags = words.filter((word) => /^--[a-z]/.test(word)).map((word) => word.replace(/[=,.;:)].*$/, ''));
  return flags
    .filter((flag) => !options.includes(flag))
    .map((flag) => `${place}: hubgate ${command.name()} has no option ${flag}`);
}

/** Verbs that have verbs below them, and may be called alone. */
const TAKES_MORE = new Set(['upstream']);

function optionsOf(command: Command): string[] {
  return command
    .createHelp()
    .visibleOptions(command)
    .map(({ long }) => long ?? '');
}

test('every command in the documentation is a verb of hubgate, with options that it has', () => {
  const written = writtenCommands();
  assert.ok(written.length > 150, `only ${written.length} commands were found`);
  assert.deepEqual(written.flatMap(mistakesIn), []);
});
