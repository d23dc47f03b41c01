/** Writes the report: the table of targets, the tables of docs/performance.md, and its plot. */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { mustRun } from '../test/e2e/support/process.ts';
import { shortly } from './bench.ts';
import { drawPlot } from './plot.ts';
import { type GroupResult, medians, type Row } from './results.ts';
import { TARGETS, type Target } from './targets.ts';

const ROOT = path.join(import.meta.dirname, '..');
const PAGE = path.join(ROOT, 'docs/performance.md');
const PLOT = path.join(ROOT, 'docs/performance.svg');
const BEGIN = '<!-- what follows is written by npm run bench -->';
const END = '<!-- until here -->';
const OURS = 'hubgate';
const PEERS = ['docker-registry', 'registry3', 'zot', 'nginx', 'nginx-64k'];
/** The figures by which servers are compared. For those that are not a rate, less is better. */
const COMPARED = ['MB/s', 'requests/s', 'seconds', 'MiB above idle', 'tree MiB'];

type Figures = ReadonlyMap<string, ReadonlyMap<string, number>>;

/** Returns the medians by case and server. */
function figuresOf(results: readonly GroupResult[]): Figures {
  const rows = results.flatMap((result) => result.rows);
  return new Map(rows.map((row) => [keyOf(row.case, row.server), medians(row)]));
}

function keyOf(what: string, server: string): string {
  return `${what}\0${server}`;
}

interface Verdict {
  readonly target: Target;
  readonly ours: number;
  /** The figure that it is compared with; undefined if it is compared with the target itself. */
  readonly theirs: number | undefined;
  readonly ratio: number;
  readonly met: boolean;
}

function judge(target: Target, figures: Figures): Verdict | undefined {
  const ours = figures.get(keyOf(target.case, OURS))?.get(target.metric);
  if (ours === undefined) return undefined;
  const theirs = comparedWith(target, figures);
  if (theirs === undefined && target.of !== undefined) return undefined;
  const ratio = theirs === undefined ? ours : ours / theirs;
  // Bytes that were sent again at the edge of a measurement are not a second download.
  const slack = target.factor * 0.001;
  const met = target.at === 'least' ? ratio >= target.factor - slack : ratio <= target.factor + slack;
  return { target, ours, theirs, ratio, met };
}

function comparedWith({ case: what, metric, of }: Target, figures: Figures): number | undefined {
  if (of === undefined) return undefined;
  if ('server' in of) return figures.get(keyOf(what, of.server))?.get(metric);
  return figures.get(keyOf(of.case, OURS))?.get(of.metric);
}

/** Writes the targets for which these results contain figures. */
export function writeTargets(results: readonly GroupResult[]): string {
  const figures = figuresOf(results);
  const verdicts = TARGETS.flatMap((target) => judge(target, figures) ?? []);
  if (verdicts.length === 0) return 'None of the targets was measured.';
  const lines = verdicts.map(({ target, ours, theirs, ratio, met }) => {
    const bound = `${target.at === 'least' ? '≥' : '≤'} ${target.factor.toLocaleString('en')}`;
    const other = theirs === undefined ? '' : `${nameOf(target)}: ${shortly(theirs)}`;
    const said = theirs === undefined ? '' : `${ratio.toFixed(2)} ×`;
    const wanted = theirs === undefined ? bound : `${bound} ×`;
    return [target.case, target.metric, shortly(ours), other, said, wanted, met ? 'met' : 'missed'];
  });
  return table(['case', 'figure', OURS, 'compared with', 'ratio', 'target', ''], lines);
}

function nameOf({ of }: Target): string {
  if (of === undefined) return '';
  return 'server' in of ? of.server : of.case;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** Writes a group's cases: each server's figures, and the ratio of Hubgate's main figure to a peer's. */
function writeGroup(result: GroupResult, usual: GroupResult['machine']): string {
  const { title, rows } = result;
  const metrics = [...new Set(rows.flatMap((row) => [...medians(row).keys()]))];
  const lines = rows.map((row) => {
    const values = medians(row);
    const shown = metrics.map((metric) => {
      const value = values.get(metric);
      return value === undefined ? '' : shortly(value);
    });
    return [row.case, row.server, ...shown, ratioOf(row, rows)];
  });
  return `### ${title}\n\n${writeHow(result, usual)}\n\n${table(['case', 'server', ...metrics, 'Hubgate is'], lines)}`;
}

function writeHow(
  { at, rounds, seconds, quick, machine }: GroupResult,
  usual: GroupResult['machine'],
): string {
  const often = rounds === 1 ? 'one round' : `medians of ${rounds} rounds`;
  const long = seconds === undefined ? '' : ` in ${seconds} s`;
  const where = machine.cpu === usual.cpu ? '' : `, on ${machine.cpu}`;
  return `Measured ${at.slice(0, 10)}${long}, ${often}${quick ? ', quick' : ''}${where}.`;
}

function ratioOf(row: Row, rows: readonly Row[]): string {
  const ours = rows.find((one) => one.case === row.case && one.server === OURS);
  if (ours === undefined || row.server === OURS) return '';
  const [mine, theirs] = [medians(ours), medians(row)];
  const metric = COMPARED.find((name) => mine.has(name) && theirs.has(name));
  if (metric === undefined) return '';
  return `${((mine.get(metric) ?? Number.NaN) / (theirs.get(metric) ?? Number.NaN)).toFixed(2)} × in ${metric}`;
}

/** Returns the machine on which most of the results were measured. */
function usualMachine(results: readonly GroupResult[]): GroupResult['machine'] {
  const newest = results.toSorted((one, other) => other.at.localeCompare(one.at));
  const often = (cpu: string) => newest.filter(({ machine }) => machine.cpu === cpu).length;
  const [usual] = newest.toSorted((one, other) => often(other.machine.cpu) - often(one.machine.cpu));
  return (usual as GroupResult).machine;
}

function writeMachine(machine: GroupResult['machine']): string {
  const programs = Object.entries(machine.programs).map(([name, version]) => `${name}: ${version}`);
  const facts = [
    machine.cpu,
    `${machine.memory} of memory`,
    machine.kernel,
    ...programs,
    'Servers, load generators and the stand-in Hub share these CPUs.',
  ];
  return facts.map((fact) => `- ${fact}`).join('\n');
}

/** Writes the tables between the marks of the page. The text that people wrote around them stays. */
export async function writePage(results: readonly GroupResult[]): Promise<void> {
  if (results.length === 0) return;
  await writeFile(PLOT, drawPlot(results, PEERS));
  const page = await readFile(PAGE, 'utf8');
  const [before, after] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (before === -1 || after === -1) throw new Error(`${PAGE} has lost its marks`);
  const usual = usualMachine(results);
  const parts = [
    `## The machine\n\n${writeMachine(usual)}`,
    `## Targets\n\n${writeTargets(results)}`,
    '![Hubgate and its peers](performance.svg)',
    `## Figures\n\n${results.map((result) => writeGroup(result, usual)).join('\n\n')}`,
  ];
  await writeFile(PAGE, `${page.slice(0, before)}${BEGIN}\n\n${parts.join('\n\n')}\n\n${page.slice(after)}`);
  // The linter formats tables and JSON, because committed files must pass it.
  const files = [PAGE, path.join(ROOT, 'bench/results')];
  await mustRun(path.join(ROOT, 'node_modules/.bin/biome'), ['format', '--write', ...files]);
}
