/**
 * Writes lib, the JavaScript of src, for the npm package: Node runs no TypeScript below node_modules. Types
 * become blanks, so that every line and column is the same as in src.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import path from 'node:path';

const ROOT = path.join(import.meta.dirname, '../..');

/**
 * Returns a TypeScript file as JavaScript. The names of files of src that it has in quotes end with `.js`.
 */
export function compiled(source: string): string {
  return stripTypeScriptTypes(source).replace(/(['"])(\.{1,2}\/[^'"\n]*)\.ts\1/g, '$1$2.js$1');
}

function compileInto(target: string): void {
  rmSync(target, { recursive: true, force: true });
  const source = path.join(ROOT, 'src');
  for (const entry of readdirSync(source, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || entry.name.endsWith('.d.ts')) continue;
    const file = path.join(entry.parentPath, entry.name);
    const below = path.join(target, path.relative(source, file));
    mkdirSync(path.dirname(below), { recursive: true });
    const text = readFileSync(file, 'utf8');
    if (!file.endsWith('.ts')) writeFileSync(below, text);
    else writeFileSync(below.replace(/\.ts$/, '.js'), compiled(text));
  }
}

if (import.meta.main) compileInto(path.join(ROOT, 'lib'));
