/**
 * Removes one listed defence at a time in a copy of the checkout, runs the tests that should notice, and
 * prints which test did. A defence that no test notices survives, and makes the exit code 1.
 *
 *   npm run mutate                 all defences
 *   npm run mutate -- pull disk    the defences of these areas, or those whose text contains a word
 */
import { chmod, cp, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { runTests } from './limited-run.ts';
import type { Mutant } from './mutant.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const COPIED = [
  'src',
  'test',
  'tools',
  'bench',
  'config',
  'certs',
  'deploy',
  'docs',
  'package.json',
  'tsconfig.json',
];

const MACHINERY = new Set(['limited-run.ts', 'mutant.ts', 'mutate.ts']);

interface Verdict {
  readonly killed: boolean;
  readonly text: string;
}

async function main(): Promise<void> {
  const { positionals } = parseArgs({ allowPositionals: true });
  const chosen = Object.entries(await listedMutants()).flatMap(([area, mutants]) =>
    mutants.filter(({ defence }) => isChosen(positionals, area, defence)).map((mutant) => ({ area, mutant })),
  );
  const directory = await copyOfCheckout();
  const healthy = new Map<string, Promise<boolean>>();
  let survivors = 0;
  try {
    for (const { area, mutant } of chosen) {
      const verdict = await judge(directory, mutant, healthy);
      if (!verdict.killed) survivors++;
      print(
        `${verdict.killed ? 'killed  ' : 'SURVIVED'}  ${area}: ${mutant.defence}\n            ${verdict.text}`,
      );
    }
  } finally {
    await rm(directory, { recursive: true });
  }
  print(`\n${chosen.length} defences, ${chosen.length - survivors} killed, ${survivors} survived`);
  process.exitCode = survivors === 0 ? 0 : 1;
}

/** Reads every list beside this file. A list exports its area's name followed by `Mutants`. */
async function listedMutants(): Promise<Record<string, readonly Mutant[]>> {
  const files = (await readdir(import.meta.dirname)).filter((name) => name.endsWith('.ts')).sort();
  const lists: Record<string, readonly Mutant[]> = {};
  for (const file of files.filter((name) => !MACHINERY.has(name))) {
    const area = file.replace(/\.ts$/, '');
    const exported: Record<string, unknown> = await import(path.join(import.meta.dirname, file));
    const mutants = exported[`${area}Mutants`];
    if (!Array.isArray(mutants)) throw new Error(`${file} does not export ${area}Mutants`);
    lists[area] = mutants;
  }
  return lists;
}

function isChosen(words: readonly string[], area: string, defence: string): boolean {
  return words.length === 0 || words.some((word) => area === word || defence.includes(word));
}

async function judge(
  directory: string,
  mutant: Mutant,
  healthy: Map<string, Promise<boolean>>,
): Promise<Verdict> {
  const file = path.join(directory, mutant.file);
  const source = await readFile(file, 'utf8').catch(() => '');
  const occurrences = source.split(mutant.find).length - 1;
  if (occurrences !== 1)
    return { killed: false, text: `${mutant.file} contains the text ${occurrences} times: update the list` };
  const key = mutant.tests.join(' ');
  const control = healthy.get(key) ?? runTests(directory, mutant.tests).then(({ passed }) => passed);
  healthy.set(key, control);
  if (!(await control)) return { killed: false, text: `${key} fails without any change` };
  await writeFile(
    file,
    source.replace(mutant.find, () => mutant.replace),
  );
  try {
    const { passed, failures } = await runTests(directory, mutant.tests);
    return passed
      ? { killed: false, text: `no test of ${key} failed` }
      : { killed: true, text: `by ${failures.slice(0, 3).join(' | ')}` };
  } finally {
    await writeFile(file, source);
  }
}

async function copyOfCheckout(): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-mutation-'));
  // Some tests run a command as another user, and are skipped if that user may not read the checkout.
  await chmod(directory, 0o755);
  for (const name of COPIED) await cp(path.join(ROOT, name), path.join(directory, name), { recursive: true });
  await symlink(path.join(ROOT, 'node_modules'), path.join(directory, 'node_modules'));
  return directory;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

await main();
