/**
 * Invariant 18: no regular expression in `src` takes more than time in proportion to the text, whatever the
 * text is. Each literal is tried on long repetitions of the characters and words that it is made of, because
 * those lead a backtracking expression astray. An expression that fails and meets no text from outside is
 * listed with the reason.
 */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { types } from 'node:util';
import { createContext, Script } from 'node:vm';

const ROOT = path.join(import.meta.dirname, '..');
const MILLISECONDS = 20;
/** The bound on all headers of a message together, which is longer than most texts. */
const LENGTH = 16 * 1024;

const MEETS_NO_TEXT_FROM_OUTSIDE: Readonly<Record<string, string>> = {
  '/\\[([^\\]]+)\\]\\([^)]+\\)/g': 'It rewrites the help texts of our own settings.',
  '/(?<=.*\\/node_modules\\/)(?!.*\\/node_modules\\/).*/': 'It reads the path of an installed package.',
  '/([\\d.]+)(h|ms|m|s|us|µs|ns)/g': 'It reads what the expression one line above has accepted as a whole.',
};

/** A literal stands where a value may begin. Comments and strings are no code. */
const LITERAL =
  /\/\/[^\n]*|\/\*[\s\S]*?\*\/|'(?:[^'\\\n]|\\.)*'|(?<=[(,=:[!&|?{};]\s*|\breturn\s+)\/((?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+)\/([dgimsuvy]*)/g;

/** The expressions of `src`, each with the files that it stands in. */
function expressions(): ReadonlyMap<string, { readonly expression: RegExp; readonly files: string[] }> {
  const found = new Map<string, { expression: RegExp; files: string[] }>();
  for (const file of globSync('src/**/*.ts', { cwd: ROOT }).filter((one) => !one.endsWith('.d.ts'))) {
    const code = readFileSync(path.join(ROOT, file), 'utf8');
    for (const [whole, source, flags = ''] of code.matchAll(LITERAL)) {
      if (source === undefined) continue;
      const known = found.get(whole) ?? { expression: new RegExp(source, flags), files: [] };
      found.set(whole, { ...known, files: [...known.files, file] });
    }
  }
  return found;
}

/** Characters and words of which a text can be made that an expression runs along. */
function unitsOf({ source }: RegExp): readonly string[] {
  const plain = source
    .replaceAll(/\\[dw]/g, '0')
    .replaceAll(/\\s/g, ' ')
    .replaceAll(/\\n/g, '\n')
    .replaceAll(/\(\?(?:<?[=!]|:|<[a-zA-Z]+>)/g, '(')
    .replaceAll(/\\(.)/g, '$1');
  const words = plain.match(/[^()[\]{}|?*+^$]{2,}/g) ?? [];
  const characters = [...new Set([...plain.replaceAll(/[()|?*^$]/g, ''), 'a', '0', ' ', '\n', '\\'])];
  const pairs = characters.flatMap((one) => ['\\', ' ', 'a'].map((other) => `${other}${one}`));
  return [...new Set([...characters, ...words, ...pairs])];
}

const CONTEXT = createContext({ text: '', expression: /./ });
const SEARCH = new Script('text.replace(expression, "")');

/**
 * Returns the CPU time of a search in milliseconds. A search that takes too long is ended; on a busy machine
 * it begins again if it had too little of the CPU by then to tell.
 */
function cost(expression: RegExp, text: string): number {
  Object.assign(CONTEXT, { text, expression });
  for (;;) {
    const begun = cpu();
    const isDone = ends(SEARCH, 5 * MILLISECONDS);
    const spent = cpu() - begun;
    if (isDone || spent > MILLISECONDS) return spent;
  }
}

function ends(search: Script, timeout: number): boolean {
  try {
    search.runInContext(CONTEXT, { timeout });
    return true;
  } catch (error) {
    if (isTimeout(error)) return false;
    throw error;
  }
}

/** An error of another context is no `Error` of this one. */
const isTimeout = (error: unknown) =>
  types.isNativeError(error) && 'code' in error && error.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT';

const SEARCH_ALL = new Script(`
  longest = 0;
  for (const text of texts) {
    const begun = cpu();
    text.replace(expression, '');
    longest = Math.max(longest, cpu() - begun);
  }`);

const textsOf = (unit: string) =>
  [64, LENGTH].map((length) => `${unit.repeat(Math.ceil(length / unit.length))}\u0000`);

function cpu(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

/**
 * True if one of the texts may take too long. Each limit of time costs a thread, so all texts of an
 * expression have one.
 */
function maybeSlow(expression: RegExp): boolean {
  Object.assign(CONTEXT, { texts: unitsOf(expression).flatMap(textsOf), expression, cpu });
  return !ends(SEARCH_ALL, 50 * MILLISECONDS) || CONTEXT.longest > MILLISECONDS;
}

/**
 * A text on which the expression takes too long, also when it is tried again on a machine that may be busy.
 */
function slowText(expression: RegExp): string | undefined {
  if (!maybeSlow(expression)) return undefined;
  for (const unit of unitsOf(expression)) {
    for (const text of textsOf(unit)) {
      const isSlow = () => cost(expression, text) > MILLISECONDS;
      if (isSlow() && isSlow() && isSlow()) return `${unit}…`;
    }
  }
  return undefined;
}

const EXPRESSIONS = expressions();

test('the regular expressions of src are found', () => {
  assert.ok(EXPRESSIONS.size > 100, `${EXPRESSIONS.size} are found`);
  assert.ok(slowText(/"(?:[^"\\]|\\.)*"/g) !== undefined);
  assert.ok(slowText(/<([^>]*)>\s*;\s*rel="?next"?/) !== undefined);
  assert.ok(slowText(/^(?:a+)+$/) !== undefined);
});

test('invariant 18: no regular expression backtracks over text from outside', () => {
  const slow = [...EXPRESSIONS].flatMap(([written, { expression, files }]) => {
    const text = slowText(expression);
    return text === undefined || written in MEETS_NO_TEXT_FROM_OUTSIDE
      ? []
      : [`${written} in ${files.join(', ')}: ${JSON.stringify(text)}`];
  });
  assert.deepEqual(slow, []);
});
