/**
 * Pulls and pushes with the clients of today. It builds them at pinned versions, if they are not there, and
 * runs the tests in a network of their own. Its arguments are the names of test files:
 * `npm run test:clients -- crane dockerd`.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync } from 'node:fs';
import path from 'node:path';
import { installClients } from '../e2e/support/clients.ts';
import { run } from '../e2e/support/process.ts';
import { NEW_NETWORK } from './support/network.ts';
import { buildPrograms } from './support/programs.ts';

const print = (line: string) => process.stdout.write(`${line}\n`);

await installClients();
const [enter = '', ...into] = NEW_NETWORK;
const { code, output } = await run(enter, [...into, 'true']);
if (code === 0) {
  const names = process.argv.slice(2);
  const files = globSync('*.client.ts', { cwd: import.meta.dirname })
    .filter((file) => names.length === 0 || names.includes(file.replace('.client.ts', '')))
    .map((file) => path.join(import.meta.dirname, file));
  const flags = ['--test', '--test-concurrency=1', '--test-timeout=240000', '--test-force-exit'];
  const env = { ...process.env, ...(await buildPrograms(print)) };
  const child = spawn(enter, [...into, process.execPath, ...flags, ...files], { stdio: 'inherit', env });
  const [status] = await once(child, 'exit');
  process.exitCode = status ?? 1;
} else {
  print(`skipped: no network namespace can be made here: ${output.trim()}`);
  // In CI a suite that never runs is worth nothing.
  process.exitCode = process.env.CI === undefined ? 0 : 1;
}
