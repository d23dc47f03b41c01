/**
 * Tests that every bad answer counts as the upstream's trouble, and that no part of it reaches the log
 * unescaped.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeHub } from '../../support/fake-hub.ts';
import type { Behaviour } from '../../support/fault.ts';
import { imageOf } from '../../support/image.ts';
import { ACCOUNT, SHORT_LIMITS, TestCore } from '../../support/test-core.ts';
import { type LoggedLine, testLog } from '../../support/test-log.ts';

const NASTY = '\u009b31m\u202e\u0085';
const INDEX = 'application/vnd.oci.image.index.v1+json';
const IMAGE = 'application/vnd.oci.image.manifest.v1+json';

/** Answers with these bytes as the whole response. */
function raw(...lines: string[]): Behaviour {
  return { kind: 'raw', bytes: `HTTP/1.1 ${lines.join('\r\n')}` };
}

function document(type: string, body: string): Behaviour {
  return raw('200 OK', `Content-Type: ${type}`, `Content-Length: ${Buffer.byteLength(body)}`, '', body);
}

const ANSWERS: Readonly<Record<string, Behaviour>> = {
  'no HTTP': { kind: 'raw', bytes: 'SSH-2.0-OpenSSH_9.6\r\n' },
  nothing: { kind: 'raw', bytes: '' },
  'headers without an end': raw('200 OK', `X: ${'x'.repeat(100_000)}`),
  'very many headers': raw('200 OK', ...Array.from({ length: 3000 }, (_, at) => `X-${at}: 1`), '', ''),
  'a header that cannot be': raw('200 OK', `Content-Type${NASTY}: a`, '', ''),
  'two lengths': raw('200 OK', 'Content-Length: 1', 'Content-Length: 2', '', 'a'),
  'a length below zero': raw('200 OK', 'Content-Length: -1', '', ''),
  'another protocol': raw('101 Switching Protocols', 'Upgrade: tcp', 'Connection: upgrade', '', ''),
  'a status that is none': raw('999 ?', 'Content-Length: 0', '', ''),
  'a redirect to nowhere': raw('307 Go', `Location: ${NASTY}`, 'Content-Length: 0', '', ''),
  'a redirect without a place': raw('307 Go', 'Content-Length: 0', '', ''),
  'two redirects': raw('307 Go', 'Location: /a', 'Location: /b', 'Content-Length: 0', '', ''),
  'a media type with control characters': document(`text/${NASTY}`, '{}'),
  'a long media type': document(`text/${'x'.repeat(5000)}`, '{}'),
  'no media type': raw('200 OK', 'Content-Length: 2', '', '{}'),
  'two media types': raw(
    '200 OK',
    `Content-Type: ${IMAGE}`,
    `Content-Type: ${INDEX}`,
    'Content-Length: 2',
    '',
    '{}',
  ),
  'a digest that is none': raw(
    '200 OK',
    `Content-Type: ${IMAGE}`,
    `Docker-Content-Digest: ${NASTY}`,
    'Content-Length: 2',
    '',
    '{}',
  ),
  HTML: document('text/html', '<html>Sign in</html>'),
  null: document(IMAGE, 'null'),
  'a deep document': document(IMAGE, '['.repeat(100_000)),
  'a document of another shape': document(
    IMAGE,
    '{"schemaVersion":2,"tags":{},"layers":3,"manifests":[null]}',
  ),
  'compressed bytes': raw(
    '200 OK',
    `Content-Type: ${IMAGE}`,
    'Content-Encoding: gzip',
    'Content-Length: 2',
    '',
    '{}',
  ),
  'a challenge of rubbish': raw(
    '401 No',
    `WWW-Authenticate: Bearer realm="${NASTY}`,
    'Content-Length: 0',
    '',
    '',
  ),
  'a challenge with a rubbish error': raw(
    '401 No',
    `WWW-Authenticate: Bearer realm="/t",error="${NASTY}"`,
    'Content-Length: 0',
    '',
    '',
  ),
  'a wait for ever': raw('429 No', 'Retry-After: 99999999999999999999', 'Content-Length: 0', '', ''),
};

const digest = `sha256:${'0'.repeat(64)}`;
const TARGETS = [
  'library/alpine/manifests/latest',
  `library/alpine/manifests/${digest}`,
  `library/alpine/blobs/${digest}`,
  'library/alpine/tags/list',
  `library/alpine/referrers/${digest}`,
];

for (const [name, behaviour] of Object.entries(ANSWERS)) {
  test(`an upstream that answers ${name} is in trouble, and the mirror is not`, async () => {
    await using hub = await FakeHub.start();
    hub.accounts.push({ ...ACCOUNT, repositories: [] });
    hub.push('library/alpine', 'latest', imageOf());
    const log: LoggedLine[] = [];
    await using core = await TestCore.start(hub, {
      limits: { ...SHORT_LIMITS, breakAfter: 10_000 },
      log: testLog(log),
    });
    // With a token in hand, so that the answer meets every step.
    await core.ask('library/alpine/manifests/other');
    hub.plant('registry', /alpine/, behaviour);
    hub.plant('token', /never/, behaviour);
    for (const target of TARGETS) {
      for (const grant of ['public', 'private']) {
        const { status, headers, body } = await core.ask(target, { grant });
        // Bytes that come as a blob are found out by their digest.
        const isFailedFill = status === 200 && /"kind":"failed"\}?\s*$/.test(body.toString().trimEnd());
        assert.ok(isFailedFill || [404, 429, 502, 504].includes(status), `${target}: ${status} ${body}`);
        assert.notEqual(headers['hubgate-error'], 'INTERNAL');
      }
    }
    assert.deepEqual(
      log.filter(({ level, msg }) => level >= 50 && msg !== 'a fill failed'),
      [],
    );
    assert.doesNotMatch(log.map((line) => Object.values(line).join(' ')).join(' '), /[\p{Cc}\p{Cf}]/u);
  });
}
