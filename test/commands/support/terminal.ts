import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import type { ExitCode, Terminal } from '../../../src/commands/terminal.ts';

/**
 * Runs a command on a terminal of the test. Its stderr is a real terminal if `columns` says how wide it is.
 */
export async function run(
  command: (terminal: Terminal) => Promise<ExitCode>,
  { typed = '', columns }: { readonly typed?: string; readonly columns?: number } = {},
) {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  stdin.end(typed);
  if (columns !== undefined) Object.assign(stderr, { isTTY: true, columns });
  const code = await command({ stdin, stdout, stderr });
  stdout.end();
  stderr.end();
  return { code, stdout: await text(stdout), stderr: await text(stderr) };
}

/** Reduces the space between the columns of a table to two blanks. */
export function withoutPadding(table: string): string {
  return table.replaceAll(/ {2,}/g, '  ');
}
