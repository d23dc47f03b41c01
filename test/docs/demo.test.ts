import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { demo } from '../../tools/demo.ts';
import { demoPicture } from '../../tools/demo-picture.ts';
import { drawTerminal } from '../../tools/terminal-picture.ts';

const PICTURE = path.join(import.meta.dirname, '../../docs/demo.svg');

/** Removes what differs from run to run. */
function constant(picture: string): string {
  return picture
    .replace(/sha256:[0-9a-f]+/g, 'sha256:…')
    .replace(/localhost:\d+/g, 'localhost:…')
    .replace(/\d+ times/g, '… times');
}

/** Returns the part of the text that follows a heading. */
function part(text: string, heading: string): string {
  const start = text.indexOf(`── ${heading}`);
  assert.ok(start >= 0, `there is no "${heading}" in\n${text}`);
  const end = text.indexOf('\n── ', start + 1);
  return text.slice(start, end === -1 ? undefined : end);
}

/** Lets everything that makes a temporary directory make it in a new one, and returns that one. */
async function ownTemporaryDirectory(t: TestContext): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-demo-'));
  const before = process.env.TMPDIR;
  process.env.TMPDIR = directory;
  t.after(async () => {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
    await rm(directory, { recursive: true });
  });
  return directory;
}

test('the demonstration shows a pull, a pull from the cache, a private image, a deny, and the audit log', async (t) => {
  const directory = await ownTemporaryDirectory(t);
  const start = performance.now();
  let text = '';
  await demo((line) => {
    text += `${line}\n`;
  });
  assert.ok(performance.now() - start < 60_000, 'it takes a minute at most');
  assert.deepEqual(await readdir(directory), [], 'it removes everything that it made');
  const ofPublic = part(text, 'Everybody who logs in');
  assert.equal(ofPublic.match(/blobs\/\S+ {3}200, 1000000 bytes, its digest is right/g)?.length, 2, text);
  assert.match(
    ofPublic,
    /The second pull comes from the cache:(?:\n.*)+Docker Hub was asked for content 0 times/,
  );
  const ofPrivate = part(text, 'The private image');
  assert.match(ofPrivate, /as ana\n(?:.*\n)+? {2}GET \S+ {3}404, manifest unknown\n/);
  assert.match(ofPrivate, /as bo\n(?:.*\n)+? {2}GET \S+ {3}200, sha256:[0-9a-f]{64}\n/);
  assert.match(ofPrivate, /allow: user:ana may pull docker\.io\/acme\/pay-api, public content only/);
  const ofDeny = part(text, 'A deny');
  assert.match(ofDeny, /403, CentOS is at its end; use debian\n/);
  assert.match(ofDeny, /decided by {2}deny old config\/access\.yaml/);
  // If this fails, the picture in docs/try.md is old: npm run docs:demo.
  assert.equal(constant(demoPicture(text)), constant(readFileSync(PICTURE, 'utf8')));
  const audit = part(text, 'Who pulled what');
  assert.match(audit, /deny +403 +user:bo .*docker\.io\/library\/centos:latest/);
  assert.match(audit, /allow +200 +user:bo .*docker\.io\/acme\/pay-api:latest/);
});

test('a picture of a terminal shows its text as it is, and shortens long lines', () => {
  const picture = drawTerminal(`$ a <b> & "c"\n  GET /v2/   404, none\n${'x'.repeat(200)}\n`, 'a & b');
  assert.match(picture, /<title>a &amp; b<\/title>/);
  assert.match(picture, /fill="#e6e9f0">\$ a &lt;b&gt; &amp; "c"<\/text>/);
  assert.match(picture, /fill="#f7768e"> {2}GET \/v2\/ {3}404, none<\/text>/);
  assert.match(picture, />x{103}…<\/text>/);
});
