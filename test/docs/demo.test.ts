import assert from 'node:assert/strict';
import { test } from 'node:test';
import { demo } from '../../tools/demo.ts';

/** Returns the part of the text that follows a heading. */
function part(text: string, heading: string): string {
  const start = text.indexOf(`── ${heading}`);
  assert.ok(start >= 0, `there is no "${heading}" in\n${text}`);
  const end = text.indexOf('\n── ', start + 1);
  return text.slice(start, end === -1 ? undefined : end);
}

test('the demonstration shows a pull, a pull from the cache, a private image, a deny, and the audit log', async () => {
  let text = '';
  await demo((line) => {
    text += `${line}\n`;
  });
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
  const audit = part(text, 'Who pulled what');
  assert.match(audit, /deny +403 +user:bo .*docker\.io\/library\/centos:latest/);
  assert.match(audit, /allow +200 +user:bo .*docker\.io\/acme\/pay-api:latest/);
});
