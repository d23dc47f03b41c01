/**
 * The documentation is true where a program can tell: links and anchors lead somewhere, pages that the
 * program names exist, and examples load. It is readable in a terminal: prose has at most 100 characters in a
 * line, and tables have at most four columns.
 */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { loadConfig } from '../../src/config/load-config.ts';
import { formatFault } from '../../src/platform/fault.ts';
import { parseFiles } from '../access/support/policy.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const LONGEST_LINE = 100;
const MOST_COLUMNS = 4;
/** A longer word makes a table wider than a page, because no browser breaks it. */
const LONGEST_WORD = 70;
/** The lines of a high screen. */
const ONE_SCREEN = 80;
/** The tables of `npm run bench` have a column for each figure. */
const WITH_WIDE_TABLES = ['docs/performance.md'];

const PAGES = globSync(['*.md', 'docs/**/*.md'], { cwd: ROOT }).toSorted();

interface Line {
  /** `docs/policy.md:12`. */
  readonly place: string;
  readonly text: string;
}

interface Block {
  readonly place: string;
  /** The text behind the opening fence, such as `yaml`. */
  readonly language: string;
  readonly text: string;
}

interface Page {
  readonly lines: readonly Line[];
  readonly blocks: readonly Block[];
}

/** Separates a page into the lines outside of code, and the blocks of code. */
function readPage(name: string): Page {
  const lines: Line[] = [];
  const blocks: Block[] = [];
  let open: { place: string; language: string; indent: string; inside: string[] } | undefined;
  for (const [index, text] of readFileSync(path.join(ROOT, name), 'utf8').split('\n').entries()) {
    const place = `${name}:${index + 1}`;
    const [, indent = '', language] = /^(\s*)```(.*)$/.exec(text) ?? [];
    if (language === undefined) {
      if (open === undefined) lines.push({ place, text });
      else open.inside.push(text.slice(open.indent.length));
    } else if (open === undefined) {
      open = { place, language, indent, inside: [] };
    } else {
      blocks.push({ ...open, text: `${open.inside.join('\n')}\n` });
      open = undefined;
    }
  }
  assert.equal(open, undefined, `${open?.place}: this block of code has no end`);
  return { lines, blocks };
}

const pages: ReadonlyMap<string, Page> = new Map(PAGES.map((name) => [name, readPage(name)]));

/** Returns the anchors that GitHub gives to the headings of a page. */
function anchorsOf(page: Page): ReadonlySet<string> {
  const anchors = new Set<string>();
  for (const { text } of page.lines) {
    const [, heading] = /^#{1,6} (.+)$/.exec(text) ?? [];
    if (heading === undefined) continue;
    const bare = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    const anchor = bare.replace(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, '').replaceAll(' ', '-');
    let unique = anchor;
    for (let count = 1; anchors.has(unique); count++) unique = `${anchor}-${count}`;
    anchors.add(unique);
  }
  return anchors;
}

/**
 * Returns the targets of the links on a page, each with its place. A link may begin on one line and end on
 * the next.
 */
function linksOf({ lines }: Page): { place: string; target: string }[] {
  return lines.flatMap(({ place, text }, index) => {
    const both = `${text}\n${lines[index + 1]?.text ?? ''}`.replace(/`[^`]*`/g, (code) =>
      ' '.repeat(code.length),
    );
    return [...both.matchAll(/\]\(([^()\s]+(?:\([^()\s]*\))?)\)/g)]
      .filter((found) => found.index < text.length)
      .map(([, target = '']) => ({ place, target }));
  });
}

/** Returns why a link leads nowhere. The Internet is not asked. */
function whyDead(name: string, target: string): string | undefined {
  if (/^(?:https?|mailto):/.test(target)) return undefined;
  const [file = '', anchor] = target.split('#');
  const found = file === '' ? name : path.join(path.dirname(name), file);
  if (!existsSync(path.join(ROOT, found))) return `there is no ${found}`;
  if (anchor === undefined) return undefined;
  const page = pages.get(found);
  if (page === undefined) return `${found} is no page, and has no anchors`;
  return anchorsOf(page).has(anchor) ? undefined : `${found} has no heading for #${anchor}`;
}

test('every link in the documentation leads to a file and to a heading that exist', () => {
  const links = [...pages].flatMap(([name, page]) => linksOf(page).map((link) => ({ name, ...link })));
  assert.ok(links.length > 200, `only ${links.length} links were found`);
  const dead = links.flatMap(({ name, place, target }) => {
    const why = whyDead(name, target);
    return why === undefined ? [] : [`${place}: ${target}: ${why}`];
  });
  assert.deepEqual(dead, []);
});

test('every page is linked from another page', () => {
  const linked = new Set(
    [...pages].flatMap(([name, page]) =>
      linksOf(page).map(({ target }) => path.join(path.dirname(name), target.split('#')[0] ?? '')),
    ),
  );
  const lost = PAGES.filter((name) => name.startsWith('docs/') && !linked.has(name));
  assert.deepEqual(
    lost.filter((name) => !name.startsWith('docs/decisions/')),
    [],
  );
});

test('every page that the program, its tests and its deployment name exists', () => {
  const files = globSync(
    [
      'src/**/*.{ts,yaml}',
      'test/**/*.ts',
      'tools/**/*.ts',
      'bench/**/*.ts',
      'config/*',
      'deploy/**/*',
      '*.yaml',
    ],
    {
      cwd: ROOT,
      withFileTypes: true,
    },
  ).filter((entry) => entry.isFile());
  assert.ok(files.length > 300, `only ${files.length} files were found`);
  const dead = files.flatMap((entry) => {
    const file = path.join(entry.parentPath, entry.name);
    const named = readFileSync(file, 'utf8').matchAll(
      /(?<![\w/.-])(?:\.\.\/)*(docs\/(?:[\w-]+\/)*[\w-]+\.md)/g,
    );
    return [...named]
      .filter(([, page = '']) => !existsSync(path.join(ROOT, page)))
      .map(([, page]) => `${path.relative(ROOT, file)} names ${page}`);
  });
  assert.deepEqual(dead, []);
});

test('prose has at most 100 characters in a line, and a table at most four columns', () => {
  const long = [...pages.values()].flatMap(({ lines }) =>
    lines.filter(({ text }) => !/^\s*(?:\||<)/.test(text) && [...text].length > LONGEST_LINE),
  );
  assert.deepEqual(
    long.map(({ place, text }) => `${place}: ${[...text].length} characters`),
    [],
  );
  const wide = [...pages].flatMap(([name, { lines }]) =>
    WITH_WIDE_TABLES.includes(name) ? [] : lines.filter(({ text }) => columnsOf(text) > MOST_COLUMNS),
  );
  assert.deepEqual(
    wide.map(({ place, text }) => `${place}: ${columnsOf(text)} columns`),
    [],
  );
});

test('a word in a table is short enough for the table to fit on a page', () => {
  const rows = [...pages.values()].flatMap(({ lines }) =>
    lines.filter(({ text }) => /^\s*\| *[^-\s|]/.test(text)),
  );
  assert.ok(rows.length > 0);
  const long = rows.flatMap(({ place, text }) =>
    text
      .replace(/\]\([^)]*\)/g, ']')
      .split(/\s+/)
      .filter((word) => word.length > LONGEST_WORD)
      .map((word) => `${place}: ${word}`),
  );
  assert.deepEqual(long, []);
});

test('the README fits on one screen', () => {
  const lines = readFileSync(path.join(ROOT, 'README.md'), 'utf8').split('\n').length - 1;
  assert.ok(lines <= ONE_SCREEN, `it has ${lines} lines, and may have ${ONE_SCREEN}`);
});

/** Counts the columns in the line that separates the head of a table from its rows. */
function columnsOf(text: string): number {
  return /^\s*\|(?:\s*:?-+:?\s*\|)+\s*$/.test(text) ? text.split('|').length - 2 : 0;
}

/** Returns the blocks that are a whole file, as their first line says. */
function examplesOf(file: string): Block[] {
  return [...pages.values()].flatMap(({ blocks }) =>
    blocks.filter(({ language, text }) => language === 'yaml' && text.startsWith(`# ${file}`)),
  );
}

test('every example of a policy loads, and its tests are true', () => {
  const examples = examplesOf('config/access.yaml');
  assert.ok(examples.length >= 8, `only ${examples.length} examples were found`);
  for (const { place, text } of examples) {
    const parsed = parseFiles({ 'access.yaml': text });
    assert.deepEqual('faults' in parsed ? parsed.faults.map(formatFault) : [], [], place);
  }
});

test('every example of a configuration loads', async (t) => {
  const examples = examplesOf('config/hubgate.yaml');
  assert.ok(examples.length >= 8, `only ${examples.length} examples were found`);
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-examples-'));
  t.after(() => rm(directory, { recursive: true }));
  await mkdir(path.join(directory, 'config'));
  for (const { place, text } of examples) {
    await writeFile(path.join(directory, 'config/hubgate.yaml'), text);
    // The files that an example names are on another machine.
    const loaded = await loadConfig({ directory, environment: {}, readsSecrets: false });
    assert.deepEqual('faults' in loaded ? loaded.faults.map(formatFault) : [], [], place);
  }
});
