/** What the pages quote of messages is in the program, so that somebody who looks for a message finds it. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

const ROOT = path.join(import.meta.dirname, '../..');
const SOURCE = globSync('src/**/*.ts', { cwd: ROOT })
  .map((file) => readFileSync(path.join(ROOT, file), 'utf8'))
  .join('\n')
  // A long text is written as several, and a value stands in braces.
  .replaceAll(/['`] \+\s+['`]/g, '')
  .replaceAll(/\$\{(?:[^{}]|\{[^{}]*\})*\}/g, '…');

/** What docker, TLS or HTTP say, and not Hubgate. */
const OF_CLIENTS =
  /^(?:x509: |http: |invalid reference format|received unexpected HTTP status|not found|push access denied|401 Unauthorized|denied$)/;

/** Returns the quoted texts of the first or the second column of the tables below a heading. */
function quoted(page: string, heading: string, column: number): string[] {
  const text = readFileSync(path.join(ROOT, page), 'utf8');
  const [, section = ''] = text.split(`## ${heading}\n`);
  const [table = ''] = section.split(/^## /m);
  return table
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .flatMap((line) =>
      [...(line.split('|')[column] ?? '').matchAll(/`([^`]+)`/g)].map(([, one = '']) => one),
    );
}

/** The parts of a message between the places where the page leaves something out. */
function partsOf(message: string): string[] {
  return (
    message
      .replace(/^(?:toomanyrequests|unsupported|denied|… denied): /, '')
      // The example of a push that is refused.
      .replaceAll(/acme-internal\/\*\*|2\.9 MiB|(?<=the tag )1\.4/g, '…')
      .split(/…/)
      .map((part) =>
        part
          .trim()
          .replace(/^[);,:(]+|[;,:(]+$/g, '')
          .trim(),
      )
      .filter((part) => part.length > 6)
  );
}

for (const [page, heading, column] of [
  ['docs/troubleshooting.md', 'What docker prints', 1],
  ['docs/troubleshooting.md', 'What the log says', 1],
  ['docs/clients/push.md', 'When a push is refused', 2],
] as const)
  test(`the messages that ${page} quotes under "${heading}" are those of the program`, () => {
    const messages = quoted(page, heading, column).filter((message) => !OF_CLIENTS.test(message));
    assert.ok(messages.length > 4);
    const missing = messages.flatMap((message) => partsOf(message).filter((part) => !SOURCE.includes(part)));
    assert.deepEqual(missing, []);
  });
