import type { Command } from 'commander';
import { verbHelp } from '../src/bin/help.ts';
import { program } from '../src/bin/hubgate.ts';
import { wrapText } from './wrap-text.ts';

const HEAD = `<!-- Made by \`npm run docs:cli\` from src/bin. What is written here by hand is lost. -->

# Commands

${wrapText('All verbs of the command `hubgate`, which is `npx hubgate` in a checkout. `hubgate VERB --help` prints the same.')}

| exit code | meaning                         |
| --------- | ------------------------------- |
| 0         | done                            |
| 1         | refused, or something is wrong  |
| 2         | bad usage, or bad configuration |

## Options of every verb
`;

/** Returns docs/cli.md. */
export function cliPage(): string {
  const hubgate = program(() => {});
  const everywhere = optionLines(hubgate).join('\n');
  return [HEAD, `${everywhere}\n`, ...hubgate.commands.flatMap((command) => sections(command, []))].join(
    '\n',
  );
}

/** Returns the section of a command, and those of the commands below it. */
function sections(command: Command, above: readonly string[]): string[] {
  const words = [...above, command.name()];
  return [sectionOf(command, words), ...command.commands.flatMap((below) => sections(below, words))];
}

function sectionOf(command: Command, words: readonly string[]): string {
  const help = command.createHelp();
  const usage = help.commandUsage(command).replace(' [command]', ' VERB');
  const { page = '', examples = [] } = verbHelp(words) ?? {};
  const options = optionLines(command);
  return [
    `${'#'.repeat(words.length + 1)} \`hubgate ${words.join(' ')}\``,
    '',
    wrapText(`${sentence(command.description())} More in [${page}](${page}).`),
    '',
    '```',
    usage,
    ...(examples.length > 0 ? ['', ...examples.map((example) => `$ hubgate ${example}`)] : []),
    '```',
    '',
    ...(options.length > 0 ? [...options, ''] : []),
  ].join('\n');
}

function optionLines(command: Command): string[] {
  const help = command.createHelp();
  return help
    .visibleOptions(command)
    .filter(({ long }) => long !== '--help' && long !== '--version')
    .map((option) => wrapText(`\`${help.optionTerm(option)}\`: ${help.optionDescription(option)}`, '- '));
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
