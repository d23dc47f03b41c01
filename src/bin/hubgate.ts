#!/usr/bin/env node
import { Command, CommanderError, Option } from 'commander';
import packageJson from '../../package.json' with { type: 'json' };
import { type ExitCode, letReaderLeave, printText } from '../launch/terminal.ts';
import { addHelp } from './help.ts';
import { addGroups, addVerbs, type CommandContext, type CommandLine } from './verb.ts';
import { CONTENT_VERBS } from './verbs/content.ts';
import { CREDENTIAL_VERBS } from './verbs/credentials.ts';
import { MIRROR_VERBS } from './verbs/mirror.ts';
import { addTextVerbs } from './verbs/text.ts';

/**
 * Makes the command line. The file of each verb is loaded when the verb is called, so that a start of a role
 * loads only what that role needs.
 */
export function program(
  end: CommandLine['end'],
  inHome: CommandLine['inHome'] = () => {},
  { terminal, environment }: CommandContext = { terminal: process, environment: process.env },
): Command {
  const hubgate = new Command('hubgate')
    .description(packageJson.description)
    .version(packageJson.version)
    .addOption(
      new Option('--home <directory>', 'the directory with config, certs, state and data')
        .default(process.cwd(), 'the working directory')
        .env('HUBGATE_HOME'),
    )
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => printText(terminal.stdout, text.trimEnd()),
      writeErr: (text) => printText(terminal.stderr, text.trimEnd()),
    });
  const line: CommandLine = { end, inHome, terminal, environment };
  // The help lists the verbs in this order.
  addVerbs(hubgate, MIRROR_VERBS, line);
  addTextVerbs(hubgate, line);
  addGroups(hubgate, CREDENTIAL_VERBS, line);
  addGroups(hubgate, CONTENT_VERBS, line);
  addHelp(hubgate);
  return hubgate;
}

/** Runs the command of this process. bin/hubgate.cjs calls it. */
export async function main(): Promise<void> {
  letReaderLeave(process, ({ message }) => {
    printText(process.stderr, `hubgate: the output cannot be written: ${message}`);
    process.exit(1);
  });
  process.exitCode = await runProgram(process.argv.slice(2));
}

/** Runs the command that the arguments name, and prints the error that it throws. */
export async function runProgram(
  args: readonly string[],
  context: CommandContext = { terminal: process, environment: process.env },
): Promise<ExitCode> {
  let code: ExitCode = 0;
  let home = process.cwd();
  const end = (ended: ExitCode) => {
    code = ended;
  };
  const inHome = (directory: string) => {
    home = directory;
  };
  try {
    await program(end, inHome, context).parseAsync([...args], { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    const { explainError } = await import('../launch/explain-error.ts');
    printText(context.terminal.stderr, `hubgate: ${explainError(error, home)}`);
    return 1;
  }
}

if (import.meta.main) await main();
