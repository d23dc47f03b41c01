import { type ExitCode, printText, type Terminal } from '../../launch/terminal.ts';
import { bashCompletion } from './bash.ts';
import type { CompletedCommand } from './completed-command.ts';
import { fishCompletion } from './fish.ts';
import type { Shell } from './shells.ts';
import { zshCompletion } from './zsh.ts';

const SCRIPTS: Readonly<Record<Shell, (root: CompletedCommand) => string>> = {
  bash: bashCompletion,
  zsh: zshCompletion,
  fish: fishCompletion,
};

/** Prints the script that completes `hubgate` in a shell. */
export function printCompletion(shell: Shell, root: CompletedCommand, { stdout }: Terminal): ExitCode {
  printText(stdout, SCRIPTS[shell](root));
  return 0;
}
