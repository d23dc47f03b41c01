/** The tables of users, directories and modes are those of the files that are shipped. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';

const ROOT = path.join(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');

/** Returns the cells of the rows whose first cell is code. */
function rowsOf(page: string, heading: string): string[][] {
  const [, section = ''] = read(page).split(`## ${heading}\n`);
  const [table = ''] = section.split(/^## /m);
  const rows = table.matchAll(/^\| (`.*|a `passwordFile`.*) \|$/gm);
  return [...rows].map(([, row = '']) => row.split('|').map((cell) => cell.trim()));
}

test('docs/containers.md has each service of separate.yaml with its user', () => {
  const { services } = parse(read('deploy/compose/separate.yaml'), { merge: true });
  const shipped = Object.entries<{ user: string }>(services).map(([name, { user }]) => {
    const [id = ''] = user.split(':');
    return `\`${name}\` ${id === '0' ? 'root' : id}`;
  });
  const written = rowsOf('docs/containers.md', 'A container for each role').map(
    ([name, user]) => `${name} ${user}`,
  );
  assert.deepEqual(written.toSorted(), shipped.toSorted());
});

test('docs/systemd.md has each directory of hubgate.tmpfiles with its owner and mode', () => {
  const shipped = [
    ...read('deploy/systemd/hubgate.tmpfiles').matchAll(
      /^d \/var\/lib\/hubgate\/?(\S*) +(\d+) (\S+) +(\S+)/gm,
    ),
  ].map(([, directory, mode, owner, group]) => `${directory || '.'} ${owner}:${group} ${mode}`);
  const written = rowsOf('docs/systemd.md', 'Separate users')
    .filter(([name]) => !name?.includes('passwordFile'))
    .flatMap(([names = '', owner = '', mode]) =>
      names.split(', ').map((name) => `${name.replaceAll('`', '')} ${owner.replaceAll('`', '')} ${mode}`),
    );
  assert.deepEqual(written.toSorted(), shipped.toSorted());
});
