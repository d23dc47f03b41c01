import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { memoryOf } from './process-tree.ts';
import { onPath } from './servers/ready.ts';

/** The lines of the table of `strace -c`: `% time, seconds, usecs/call, calls, errors, syscall`. */
const CALLS = /^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?f(?:data)?sync$/gm;

/** Returns how often a server's whole tree syncs during a load; undefined where strace cannot tell. */
export async function countSyncs(
  root: number,
  directory: string,
  load: () => Promise<void>,
): Promise<number | undefined> {
  if (!(await onPath('strace'))) return undefined;
  const report = path.join(directory, 'strace.txt');
  const processes = memoryOf(root).flatMap(({ pid }) => ['-p', String(pid)]);
  const args = ['-f', '-c', '-e', 'trace=fsync,fdatasync', '-o', report, ...processes];
  const tracer = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const exited = once(tracer, 'exit');
  if (!(await attached(tracer.stderr, processes.length / 2))) return void (await exited);
  await load();
  tracer.kill('SIGINT');
  await exited;
  const text = await readFile(report, 'utf8');
  return [...text.matchAll(CALLS)].reduce((total, [, calls]) => total + Number(calls), 0);
}

/** Resolves to false if strace ends before it is attached to all of the processes. */
async function attached(stderr: AsyncIterable<Buffer>, processes: number): Promise<boolean> {
  const all = Promise.withResolvers<boolean>();
  const read = async () => {
    let said = '';
    for await (const chunk of stderr) {
      said += chunk;
      if ((said.match(/^strace: Process \d+ attached/gm)?.length ?? 0) >= processes) all.resolve(true);
    }
    all.resolve(false);
  };
  void read();
  return all.promise;
}
