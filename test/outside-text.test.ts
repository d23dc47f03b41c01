/**
 * Invariant 18: text from outside never costs more than 20 ms of an event loop. Each parser of such text is
 * given the largest text that it can meet, made of repetitions of what it looks for.
 */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { loginCookieIn, sessionCookieIn } from '../src/account/cookies.ts';
import { parseReturnTo } from '../src/account/return-to.ts';
import { parseScimFilter, parseScimMessage } from '../src/auth/identity/directory/scim-message.ts';
import { parseHtpasswd } from '../src/auth/identity/htpasswd.ts';
import { elements, elementText } from '../src/cluster/objects/object-xml.ts';
import { parsePushedManifest } from '../src/core/hosted/pushed-manifest.ts';
import { DOCUMENT_BOUNDS, MAX_DOCUMENT_SIZE } from '../src/core/limits.ts';
import { parseTags } from '../src/core/pull/ask-tags.ts';
import {
  childrenOf,
  descriptorsIn,
  isAttestation,
  joinIndexes,
  whyInvalidManifest,
  whyInvalidReferrers,
  whyInvalidTags,
} from '../src/core/pull/validate-document.ts';
import { parseQuota, parseRetryAfter } from '../src/core/upstream/quota.ts';
import { parseAuthorization } from '../src/gateway/authentication/authorization-header.ts';
import { createAddressOf } from '../src/gateway/http/client-address.ts';
import { parseProxyHeader } from '../src/gateway/http/proxy-header.ts';
import { parseSigningRequest } from '../src/pki/signing-request.ts';
import { exceededBound } from '../src/platform/json-bounds.ts';
import { parseNetwork } from '../src/platform/network.ts';
import { parseUnverifiedToken } from '../src/protocol/unverified-token.ts';
import { parseChallenge } from '../src/registry/challenge.ts';
import { parseImage } from '../src/registry/image.ts';
import { parseManifestMediaType } from '../src/registry/media-type.ts';
import { nextPage, parsePage } from '../src/registry/page.ts';
import { parseRange, parseRanges } from '../src/registry/range.ts';
import { parseReference } from '../src/registry/reference.ts';
import { resolveRepository } from '../src/registry/repository.ts';
import { parseTarget } from '../src/registry/route.ts';
import { parseScope, splitScopes } from '../src/registry/scope.ts';

const NAMES = { upstreams: new Set(['docker.io']), self: new Set<string>() };
const MILLISECONDS = 20;
const KIB = 1024;
/** The bound of Node and undici on all headers together, including the request target. */
const HEADER = 16 * KIB;
/** The bound on a token request, and on the answer of a token service. */
const FORM = 64 * KIB;
const IMAGE_TYPE = 'application/vnd.oci.image.manifest.v1+json';

const addressOf = createAddressOf({ trustedProxies: parseNetwork(['10.0.0.0/8', '::/0']) });

interface Parser {
  readonly name: string;
  readonly size: number;
  /** The text that the parser searches for. */
  readonly fragments: readonly string[];
  readonly parse: (text: string) => unknown;
}

const PARSERS: readonly Parser[] = [
  {
    name: 'a request target',
    size: HEADER,
    fragments: [
      '/v2/',
      '/blobs/uploads',
      '/manifests/',
      '/tags/list',
      'docker.io',
      'a',
      '-',
      '__',
      '?n=',
      '&ns=',
      '%',
    ],
    parse: (text) => parseTarget(`/v2/${text}`, NAMES),
  },
  {
    name: 'the name of a repository',
    size: HEADER,
    fragments: ['a', '-', '_', '__', '.', '/', ':', '@', 'docker.io/'],
    parse: (text) => resolveRepository(text, [text], NAMES),
  },
  {
    name: 'the name of an image',
    size: HEADER,
    fragments: ['a', '@', ':', '/', 'sha256:', '-', '.'],
    parse: (text) => parseImage(text, NAMES),
  },
  { name: 'a reference', size: HEADER, fragments: ['a', 'sha256:', '.', '-'], parse: parseReference },
  {
    name: 'an Authorization header',
    size: HEADER,
    fragments: ['Bearer', 'Basic', ' ', 'YWxh', '=', ':', '\t'],
    parse: parseAuthorization,
  },
  {
    name: 'a Range header',
    size: HEADER,
    fragments: ['bytes=', '0', '-', ',', ' '],
    parse: (text) => parseRange(text, 100),
  },
  {
    name: 'a Range header of several ranges',
    size: HEADER,
    fragments: ['bytes=', '0-1', ',', '9', '-', ' '],
    parse: (text) => parseRanges(text, 100),
  },
  {
    name: 'the header of a proxy',
    size: HEADER,
    fragments: ['10.0.0.1', '[::1]:8', '::1', ',', ' ', ':', '1.', '['],
    parse: (text) =>
      addressOf({ socket: { remoteAddress: '10.0.0.1' } as Socket, headers: { 'x-forwarded-for': text } }),
  },
  {
    name: 'the PROXY header of a balancer',
    size: HEADER,
    fragments: ['PROXY ', 'TCP4 ', '10.0.0.1 ', '1', ' ', '\r', '\n', '\r\n\r\n\0\r\nQUIT\n', '\x21'],
    parse: (text) => parseProxyHeader(Buffer.from(text, 'latin1')),
  },
  {
    name: 'cookies',
    size: HEADER,
    fragments: ['__Host-hubgate', '=', ';', ' ', 'a'],
    parse: (text) => [sessionCookieIn(text), loginCookieIn(text)],
  },
  {
    name: 'the page to which a login leads',
    size: FORM,
    fragments: ['/account/', 'a', '/', '?', '&', '='],
    parse: parseReturnTo,
  },
  {
    name: 'a message of a directory',
    size: FORM,
    fragments: ['userName', ' eq ', '"', '\\', '{', '[', '{"a":', ' '],
    parse: (text) => [parseScimFilter(text), parseScimMessage(text)],
  },
  {
    name: 'an answer of the object store',
    size: 1024 * KIB,
    fragments: ['<Key>', '</Key>', '<Code>', '&amp;', '&lt;', '<', '&', 'a'],
    parse: (text) => [[...elements(text, 'Key')].length, elementText(text, 'Code')],
  },
  {
    name: 'scopes',
    size: FORM,
    fragments: ['repository', ':', 'pull', ',', ' ', '/', 'a'],
    parse: (text) => splitScopes([text]).map(parseScope),
  },
  {
    name: 'the query of a page',
    size: HEADER,
    fragments: ['n=', '1', '&', 'last=', 'a', '%'],
    parse: (text) => parsePage(new URLSearchParams(text)),
  },
  {
    name: 'a challenge',
    size: HEADER,
    fragments: ['Bearer ', ', Basic', 'realm', '=', '"', '\\', '\\"', ',', ' ', '\t', 'a'],
    parse: (text) => parseChallenge(`Bearer ${text}`),
  },
  {
    name: 'a Link header',
    size: HEADER,
    fragments: ['<', '>', ';', ' ', 'rel="next"', 'rel=', ',', '"', 'a'],
    parse: nextPage,
  },
  {
    name: 'a media type',
    size: HEADER,
    fragments: [IMAGE_TYPE, ';', ' ', '/', '+', 'a'],
    parse: parseManifestMediaType,
  },
  {
    name: 'the quota headers and Retry-After',
    size: HEADER,
    fragments: ['1', ';w=', ' ', 'GMT', ',', '-'],
    parse: (text) => [
      parseQuota({ 'ratelimit-limit': text, 'ratelimit-remaining': text }, 0),
      parseRetryAfter(text, 0),
    ],
  },
  {
    name: 'the claims of a token',
    size: FORM,
    fragments: ['.', 'e30', 'W10', '=', '[', '{"access":['],
    parse: (text) => [
      parseUnverifiedToken(text),
      parseUnverifiedToken(`.${Buffer.from(text.slice(0, text.length / 2)).toString('base64url')}.`),
    ],
  },
  {
    name: 'a certificate request',
    size: 64 * KIB,
    fragments: [
      '-----BEGIN CERTIFICATE REQUEST-----',
      '-----END CERTIFICATE REQUEST-----',
      'MIIB',
      '\n',
      ' ',
      '-',
      'A:',
    ],
    parse: parseSigningRequest,
  },
  {
    name: 'an htpasswd file',
    size: 256 * KIB,
    fragments: ['ana', ':', '$2y$10$', '\n', '\r\n', '#', ' '],
    parse: (text) => parseHtpasswd('htpasswd', text),
  },
];

const JSON_FRAGMENTS = [
  '"',
  '\\',
  '\\"',
  '\\u00e9',
  '{',
  '}',
  '[',
  ']',
  '{},',
  '[],',
  '1,',
  '"a":1,',
  '9',
  ' ',
  'é',
  '"sha256:',
];

/** Repetitions up to the size, with another beginning and another end. */
function worstCases(fragments: readonly string[], size: number): fc.Arbitrary<string> {
  const some = (most: number) =>
    fc.array(fc.constantFrom(...fragments), { maxLength: most }).map((parts) => parts.join(''));
  const unit = fc
    .array(fc.constantFrom(...fragments), { minLength: 1, maxLength: 3 })
    .map((parts) => parts.join(''));
  return fc
    .tuple(some(3), unit, some(2))
    .map(
      ([before, repeated, after]) =>
        `${before}${repeated.repeat(Math.ceil(size / repeated.length))}`.slice(0, size - after.length) +
        after,
    );
}

/**
 * CPU time of this thread in milliseconds: the least of several, because garbage may be collected during one.
 */
function cost(work: () => unknown): number {
  let least = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < 12 && least > MILLISECONDS; attempt++) {
    const begun = process.threadCpuUsage();
    work();
    const { user, system } = process.threadCpuUsage(begun);
    least = Math.min(least, (user + system) / 1000);
  }
  return least;
}

/**
 * A busy machine also slows down what runs: there a cost may be a few times as high, if it grows no faster
 * than the text.
 */
function assertCheap<Text extends string | Buffer>(text: Text, work: (text: Text) => unknown): void {
  const whole = cost(() => work(text));
  if (whole <= MILLISECONDS) return;
  const half = cost(() => work(text.slice(0, text.length / 2) as Text));
  assert.ok(
    whole <= 3 * MILLISECONDS && whole <= 3.5 * half,
    `it takes ${whole} ms of CPU, and ${half} ms for the first half`,
  );
}

for (const { name, size, fragments, parse } of PARSERS) {
  test(`invariant 18: ${name} costs at most 20 ms, whatever it says`, () => {
    fc.assert(
      fc.property(worstCases(fragments, size), (text) => assertCheap(text, parse)),
      { numRuns: 100 },
    );
    for (const fragment of fragments) assertCheap(fragment.repeat(Math.ceil(size / fragment.length)), parse);
  });
}

test('invariant 18: the judgement of a manifest costs at most 20 ms, whatever it says', () => {
  fc.assert(
    fc.property(worstCases(JSON_FRAGMENTS, MAX_DOCUMENT_SIZE / 2), (text) => {
      assertCheap(Buffer.from(text), (bytes) => whyInvalidManifest(bytes, IMAGE_TYPE));
    }),
    { numRuns: 40 },
  );
});

test('invariant 18: the judgement of a list of tags costs at most 20 ms, whatever it says', () => {
  const fragments = ['"a"', ',', '[', ']', '"', '\\', '{"tags":[', 'null', ' '];
  fc.assert(
    fc.property(worstCases(fragments, MAX_DOCUMENT_SIZE / 2), (text) => {
      assertCheap(Buffer.from(text), whyInvalidTags);
    }),
    { numRuns: 20 },
  );
  const tags = Array.from({ length: DOCUMENT_BOUNDS.elements - 9 }, (_, index) => `"tag-${index}"`);
  const bytes = Buffer.from(`{"tags":[${tags.join(',')}]}`);
  assert.equal(whyInvalidTags(bytes), undefined);
  assertCheap(bytes, () => whyInvalidTags(bytes));
  assertCheap(bytes, () => parseTags(bytes));
});

test('invariant 18: a page of referrers costs at most 20 ms in each step', () => {
  const descriptors = [
    '{}'.concat(',{}'.repeat(DOCUMENT_BOUNDS.nodes - 9)),
    `{"annotations":{${keys(DOCUMENT_BOUNDS.nodes - 9)}}}`,
    '1e20'.concat(',1e20'.repeat(DOCUMENT_BOUNDS.elements - 9)),
  ];
  for (const written of descriptors) {
    const page = Buffer.from(`{"schemaVersion":2,"manifests":[${written}]}`);
    assert.equal(whyInvalidReferrers(page), undefined);
    assertCheap(page, whyInvalidReferrers);
    assertCheap(page, () => descriptorsIn(page));
  }
});

test('invariant 18: many pages of referrers are joined in as many turns', async () => {
  const page = Buffer.from(`{"schemaVersion":2,"manifests":[{}${',{}'.repeat(DOCUMENT_BOUNDS.nodes - 9)}]}`);
  const pages = Array.from({ length: 40 }, () => page);
  let turns = 0;
  let isJoining = true;
  const count = () => {
    turns++;
    if (isJoining) setImmediate(count);
  };
  setImmediate(count);
  const joined = await joinIndexes(pages);
  isJoining = false;
  assert.ok(turns >= pages.length, `${turns} turns`);
  const { length } = JSON.parse(page.toString()).manifests;
  assert.equal(JSON.parse(joined.toString()).manifests.length, pages.length * length);
});

test('invariant 18: a manifest that is pushed costs at most 20 ms, whatever it says', () => {
  const digest = `sha256:${'a'.repeat(64)}`;
  const parts = { schemaVersion: 2, config: { digest }, subject: { digest } };
  const most = Math.floor(DOCUMENT_BOUNDS.nodes / 2) - 20;
  const layers = Array.from({ length: most }, (_, index) => ({
    digest: `sha256:${String(index).padStart(64, '0')}`,
  }));
  const texts = [
    JSON.stringify({ ...parts, layers }),
    `${JSON.stringify(parts).slice(0, -1)},"annotations":{${keys(DOCUMENT_BOUNDS.nodes - 20)}}}`,
    JSON.stringify({ ...parts, annotations: { text: '\u0001'.repeat(MAX_DOCUMENT_SIZE / 6 - 300) } }),
  ];
  for (const text of texts) {
    const bytes = Buffer.from(text);
    assert.equal(parsePushedManifest(bytes, IMAGE_TYPE).kind, 'valid');
    assertCheap(bytes, () => parsePushedManifest(bytes, IMAGE_TYPE));
  }
});

/** Documents at the bounds: the most members of one object, the most objects, the most elements. */
const AT_THE_BOUNDS: Readonly<Record<string, string>> = {
  members: `{"schemaVersion":2,"a":{${keys(DOCUMENT_BOUNDS.nodes - 4)}}}`,
  objects: `{"schemaVersion":2,"layers":[${Array(DOCUMENT_BOUNDS.nodes - 4)
    .fill('{}')
    .join(',')}]}`,
  elements: `{"schemaVersion":2,"layers":[${Array(DOCUMENT_BOUNDS.elements - 1)
    .fill('"sha256:abc"')
    .join(',')}]}`,
  characters: `{"schemaVersion":2,"a":"${'\\u00e9'.repeat(MAX_DOCUMENT_SIZE / 6 - 20)}"}`,
};

function keys(count: number): string {
  return Array.from({ length: count }, (_, index) => `"${'k'.repeat(100)}${index}":1`).join(',');
}

for (const [name, text] of Object.entries(AT_THE_BOUNDS)) {
  test(`invariant 18: a manifest with the most ${name} costs at most 20 ms in each step`, () => {
    const bytes = Buffer.from(text);
    assert.ok(bytes.length <= MAX_DOCUMENT_SIZE);
    assert.equal(exceededBound(bytes, DOCUMENT_BOUNDS), undefined);
    assertCheap(bytes, () => whyInvalidManifest(bytes, IMAGE_TYPE));
    assertCheap(bytes, () => childrenOf(bytes));
    assertCheap(bytes, () => isAttestation(bytes));
  });
}

test('a manifest with more structure than any real one is refused before it is parsed', () => {
  const judge = (text: string) => whyInvalidManifest(Buffer.from(text), IMAGE_TYPE);
  const { nodes, elements } = DOCUMENT_BOUNDS;
  assert.equal(judge(`{"layers":[${'{},'.repeat(nodes)}{}]}`), `more than ${nodes} nodes`);
  assert.equal(judge(`{${'"a":1,'.repeat(nodes)}"a":1}`), `more than ${nodes} nodes`);
  assert.equal(judge(`{"layers":[${'1,'.repeat(elements + 1)}1]}`), `more than ${elements} elements`);
  assert.equal(
    judge(`{"schemaVersion":2,"a":"${'[{:,'.repeat(nodes)}"}`),
    undefined,
    'what is in strings does not count',
  );
  assert.equal(
    judge(`{"schemaVersion":2,"a":"\\"${'['.repeat(40)}"}`),
    undefined,
    'an escaped quote ends no string',
  );
});
