/**
 * Removes one listed defence at a time in a copy of the checkout, runs the tests that should notice, and
 * prints which test did. A defence that no test notices survives, and makes the exit code 1.
 *
 *   npm run mutate                 all defences, two at a time
 *   npm run mutate -- pull disk    the defences of these areas, or those whose text contains a word
 *   npm run mutate -- --jobs 1     one at a time
 *   npm run mutate -- --green      does not first run the tests without a change, as they have just passed
 */
import { chmod, cp, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { removeTree, runTests, type TestPlace } from './limited-run.ts';
import type { Mutant } from './mutant.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const COPIED = [
  'src',
  'test',
  'tools',
  'bench',
  'bin',
  'config',
  'certs',
  'deploy',
  'docs',
  'Dockerfile',
  'package.json',
  'tsconfig.json',
];

const MACHINERY = new Set(['limited-run.ts', 'mutant.ts', 'mutate.ts']);

interface Verdict {
  readonly killed: boolean;
  readonly text: string;
}

interface Chosen {
  readonly area: string;
  readonly mutant: Mutant;
}

async function main(): Promise<void> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { jobs: { type: 'string', default: '2' }, green: { type: 'boolean', default: false } },
  });
  const lists = await listedMutants();
  const isChosen = chosenBy(positionals, Object.keys(lists));
  const chosen = Object.entries(lists)
    .flatMap(([area, mutants]) => mutants.map((mutant) => ({ area, mutant })))
    .filter(isChosen);
  const compiled = await mkdtemp(path.join(tmpdir(), 'hubgate-compiled-'));
  const groups = byTests(chosen);
  try {
    const jobs = Array.from({ length: Number(values.jobs) }, () =>
      judgeAll(groups, { compiled, isGreen: values.green }),
    );
    const survivors = (await Promise.all(jobs)).reduce((sum, count) => sum + count, 0);
    const killed = chosen.length - survivors;
    print(`\n${chosen.length} defences, ${killed} killed, ${survivors} survived`);
    process.exitCode = survivors === 0 ? 0 : 1;
  } finally {
    await rm(compiled, { recursive: true });
  }
}

/** Groups the mutants that the same tests notice, so that the tests run without a change only once. */
function byTests(chosen: readonly Chosen[]): Chosen[][] {
  return [...Map.groupBy(chosen, ({ mutant }) => mutant.tests.join(' ')).values()];
}

/** Takes one group after the other in a checkout of its own, and returns how many mutants survived. */
async function judgeAll(
  groups: Chosen[][],
  { compiled, isGreen }: { readonly compiled: string; readonly isGreen: boolean },
): Promise<number> {
  const directory = await copyOfCheckout();
  const place = { directory: path.join(directory, 'c'), temporary: path.join(directory, 't'), compiled };
  let survivors = 0;
  try {
    for (let group = groups.shift(); group !== undefined; group = groups.shift()) {
      const tests = group[0]?.mutant.tests ?? [];
      const passed = isGreen || (await runTests(place, tests)).passed;
      for (const { area, mutant } of group) {
        const begun = performance.now();
        const verdict = passed
          ? await judge(place, mutant)
          : { killed: false, text: `${tests.join(' ')} fails without any change` };
        if (!verdict.killed) survivors++;
        const word = verdict.killed ? 'killed  ' : 'SURVIVED';
        const seconds = Math.round((performance.now() - begun) / 1000);
        print(`${word}  ${area}: ${mutant.defence}\n            ${verdict.text} (${seconds} s)`);
      }
    }
  } finally {
    await removeTree(directory);
  }
  return survivors;
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

/**
 * A word that is the name of an area chooses the area alone. Any other chooses the defences that contain it.
 */
function chosenBy(words: readonly string[], areas: readonly string[]) {
  return ({ area, mutant }: Chosen): boolean =>
    words.length === 0 ||
    words.some((word) => (areas.includes(word) ? area === word : mutant.defence.includes(word)));
}

async function judge(place: TestPlace, mutant: Mutant): Promise<Verdict> {
  const file = path.join(place.directory, mutant.file);
  const source = await readFile(file, 'utf8').catch(() => '');
  const occurrences = source.split(mutant.find).length - 1;
  if (occurrences !== 1)
    return { killed: false, text: `${mutant.file} contains the text ${occurrences} times: update the list` };
  await writeFile(
    file,
    source.replace(mutant.find, () => mutant.replace),
  );
  try {
    const { passed, failures } = await runTests(place, mutant.tests);
    return passed
      ? { killed: false, text: `no test of ${mutant.tests.join(' ')} failed` }
      : { killed: true, text: `by ${failures[0] ?? 'a test file that could not run'}` };
  } finally {
    await writeFile(file, source);
  }
}

/**
 * Returns a directory that contains a copy of the checkout, `c`. Its path is short, because sockets go below
 * it.
 */
async function copyOfCheckout(): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'hm-'));
  // Some tests run a command as another user, and are skipped if that user may not read the checkout.
  await chmod(directory, 0o755);
  const copy = path.join(directory, 'c');
  for (const name of COPIED) await cp(path.join(ROOT, name), path.join(copy, name), { recursive: true });
  await symlink(path.join(ROOT, 'node_modules'), path.join(copy, 'node_modules'));
  return directory;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

await main();
