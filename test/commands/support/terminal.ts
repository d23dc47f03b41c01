import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import type { ExitCode, Terminal } from '../../../src/commands/terminal.ts';

/** Runs a command on a terminal of the test's own. */
export async function run(command: (terminal: Terminal) => Promise<ExitCode>) {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  const code = await command({ stdin, stdout, stderr });
  stdout.end();
  stderr.end();
  return { code, stdout: await text(stdout), stderr: await text(stderr) };
}
