import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { runProgram } from '../../../src/bin/hubgate.ts';
import type { Environment } from '../../../src/config/environment.ts';
import type { ExitCode, Terminal } from '../../../src/launch/terminal.ts';

interface Given {
  /** Standard input. */
  readonly typed?: string;
  readonly columns?: number;
}

/**
 * Runs a command on a terminal of the test. Its stderr is a real terminal if `columns` says how wide it is.
 */
export async function run(
  command: (terminal: Terminal) => Promise<ExitCode>,
  { typed = '', columns }: Given = {},
) {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  stdin.end(typed);
  if (columns !== undefined) Object.assign(stderr, { isTTY: true, columns });
  const printed = Promise.all([text(stdout), text(stderr)]);
  const code = await command({ stdin, stdout, stderr });
  stdout.end();
  stderr.end();
  const [out, err] = await printed;
  return { code, stdout: out, stderr: err };
}

/**
 * Runs a command line in this process, where it costs a tenth of what a process of its own does. It shows
 * what a verb prints and the exit code that it asks for. It cannot run `start`, which changes the process.
 */
export function runVerb(
  args: readonly string[],
  { environment = {}, ...given }: Given & { readonly environment?: Environment } = {},
) {
  return run((terminal) => runProgram(args, { terminal, environment }), given);
}

/** Reduces the space between the columns of a table to two blanks. */
export function withoutPadding(table: string): string {
  return table.replaceAll(/ {2,}/g, '  ');
}
