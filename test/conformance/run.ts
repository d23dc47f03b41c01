/**
 * Builds the OCI conformance suite at its pinned version, if it is not there, and runs it against Hubgate.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync } from 'node:fs';
import path from 'node:path';
import { buildProgram } from '../clients/support/programs.ts';

/** The time limit for the build. */
const SECONDS = 300;

const print = (line: string) => process.stdout.write(`${line}\n`);

const reason = await buildProgram('conformance', SECONDS);
if (reason === undefined) {
  const files = globSync('*.conformance.ts', { cwd: import.meta.dirname });
  const flags = ['--test', '--test-concurrency=1', '--test-timeout=300000'];
  const child = spawn(
    process.execPath,
    [...flags, ...files.map((file) => path.join(import.meta.dirname, file))],
    {
      stdio: 'inherit',
    },
  );
  const [status] = await once(child, 'exit');
  process.exitCode = status ?? 1;
} else {
  print(`skipped: ${reason}`);
  // In CI a suite that never runs is worth nothing.
  process.exitCode = process.env.CI === undefined ? 0 : 1;
}
