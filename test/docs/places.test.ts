/**
 * The pages that say where code lives are true: each file, identifier, setting and test that they name
 * exists.
 */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

const ROOT = path.join(import.meta.dirname, '../..');
const FIRST_HEADING = '## Which change goes where\n';
const AFTER = '\nModules and their directions are in';
/** The page is made from the schema of the configuration. */
const SETTINGS = readFileSync(path.join(ROOT, 'docs/configuration.md'), 'utf8');

/** A row of the table, or a list below it. A file without a folder is in the folder that was named last. */
class Entry {
  readonly title: string;
  readonly #files: string[] = [];
  #folder = '.';

  constructor(title: string) {
    this.title = title;
  }

  /** Finds a file, a folder, or a pattern of files, and keeps it for the identifiers. */
  find(name: string): boolean {
    const near = [name, path.join(this.#folder, name)].find((one) => existsSync(path.join(ROOT, one)));
    if (near === undefined) {
      // `limits.ts` and `*-metrics.ts` are in several folders.
      const found = globSync(`src/**/${name}`, { cwd: ROOT });
      this.#files.push(...found);
      return !name.includes('/') && found.length > 1;
    }
    const isFolder = statSync(path.join(ROOT, near)).isDirectory();
    this.#folder = isFolder ? near : path.dirname(near);
    this.#files.push(...(isFolder ? globSync(`${near}/**/*.ts`, { cwd: ROOT }) : [near]));
    return true;
  }

  declares(identifier: string): boolean {
    const word = new RegExp(`(?<![\\w.])${identifier}\\b`);
    return this.#files.some((file) => word.test(readFileSync(path.join(ROOT, file), 'utf8')));
  }
}

function isPath(code: string): boolean {
  return (
    /^[\w*./-]+$/.test(code) && (/\.(?:ts|md|yaml)$/.test(code) || /^(?:src|test|docs|deploy)\//.test(code))
  );
}

function isSetting(name: string): boolean {
  const [section = '', key = ''] = name.split('.');
  const text = SETTINGS.split(/^## /m).find((one) => one.startsWith(`\`${section}\`\n`)) ?? '';
  return text.includes(`\n- \`${key}\`: `);
}

/** Returns the code within the lines of a text, in order. */
function codeIn(text: string): string[] {
  return [...text.replace(/^```[\s\S]*?^```/gm, '').matchAll(/`([^`]+)`/g)].map(([, code = '']) => code);
}

function whyWrong(entry: Entry, codes: readonly string[]): string[] {
  const missing = codes.filter(isPath).filter((code) => !entry.find(code));
  const settings = codes.filter((code) => /^[a-z]+\.[a-zA-Z]+$/.test(code) && !isPath(code));
  const identifiers = codes.filter(
    (code) => /^\w*[A-Z]\w*$/.test(code) && !existsSync(path.join(ROOT, code)),
  );
  return [
    ...missing.map((code) => `${entry.title}: there is no ${code}`),
    ...settings
      .filter((code) => !isSetting(code))
      .map((code) => `${entry.title}: there is no setting ${code}`),
    ...identifiers
      .filter((code) => !entry.declares(code))
      .map((code) => `${entry.title}: no file that it names has ${code}`),
  ];
}

test('each file, identifier and setting that says which change goes where exists', () => {
  const page = readFileSync(path.join(ROOT, 'CONTRIBUTING.md'), 'utf8');
  const begin = page.indexOf(FIRST_HEADING);
  const end = page.indexOf(AFTER);
  assert.ok(begin > 0 && end > begin);
  const [table = '', ...lists] = page.slice(begin + FIRST_HEADING.length, end).split('\n### ');
  const rows = table.split('\n').filter((line) => line.startsWith('|'));
  const entries = [...rows.slice(2).map((row) => row.replace(/^\| /, '')), ...lists];
  assert.ok(rows.length > 30 && lists.length > 8, `${rows.length} rows and ${lists.length} lists were found`);
  const wrong = entries.flatMap((text) => {
    const [title = ''] = text.split(/ *\||\n/);
    return whyWrong(new Entry(title), codeIn(text));
  });
  assert.deepEqual(wrong, []);
});

/** In these files such a word is no kind of subject, but a kind of step in a pattern or of a directory. */
const OTHER_KINDS = ['access/pattern.ts', 'config/login.ts', 'auth/identity/directory/scim.ts'];

/** A comparison with a kind, or a text that begins with one: `kind === 'user'`, `user:${name}`. */
const NAMED_KIND =
  /\bkind(?:: | [!=]== )'(?:user|service|cert|oidc)'|[`}](?:user|service|cert|oidc):\$\{|'user'\}:\$\{/;

test('each file that depends on a kind of subject by its name is in the list of such files', () => {
  const page = readFileSync(path.join(ROOT, 'CONTRIBUTING.md'), 'utf8');
  const [, rest = ''] = page.split('\n### A kind of subject\n');
  const [list = ''] = rest.split('\n### ');
  const depending = globSync('src/**/*.ts', { cwd: ROOT }).filter(
    (file) =>
      !OTHER_KINDS.some((other) => file === `src/${other}`) &&
      NAMED_KIND.test(readFileSync(path.join(ROOT, file), 'utf8').replace(/^ *(?:\/?\*|\/\/).*$/gm, '')),
  );
  assert.ok(depending.length > 10, `${depending.length} files were found`);
  assert.deepEqual(
    depending.filter((file) => ![file, path.dirname(file)].some((place) => list.includes(`\`${place}\``))),
    [],
  );
});

test('each path of the source, the tests and the tools on the pages for developers exists', () => {
  for (const page of ['CONTRIBUTING.md', 'docs/architecture.md']) {
    const text = readFileSync(path.join(ROOT, page), 'utf8');
    const named = codeIn(text).filter(
      (code) => /^\.?[\w-]+(?:\/[\w.-]+)+$/.test(code) && !/NAME|^bench\/results\/quick$/.test(code),
    );
    const roots = ['.', 'src', 'test'];
    const missing = named.filter((code) => !roots.some((root) => existsSync(path.join(ROOT, root, code))));
    assert.deepEqual(missing, [], page);
  }
});

test('each invariant of the architecture is named by a test of a file that its row has', () => {
  const page = readFileSync(path.join(ROOT, 'docs/architecture.md'), 'utf8');
  const rows = [...page.matchAll(/^\| (\d+) +\|[^|]*\|([^|]*)\|$/gm)];
  assert.equal(rows.length, 20);
  for (const [, number = '', places = ''] of rows) {
    const files = places
      .split(',')
      .map((place) => place.trim())
      .filter((place) => !place.startsWith('`'))
      .flatMap((place) => {
        const found = globSync([`test/${place}.test.ts`, `test/${place}/**/*.test.ts`], { cwd: ROOT });
        assert.ok(found.length > 0, `invariant ${number}: there is no test ${place}`);
        return found;
      });
    const naming = new RegExp(`(?:test|describe)\\(\\s*['\`]invariants? (?:[\\d, and]*\\b)?${number}\\b`);
    assert.ok(
      files.some((file) => naming.test(readFileSync(path.join(ROOT, file), 'utf8'))),
      `invariant ${number}: no test of ${places.trim()} names it`,
    );
  }
});
