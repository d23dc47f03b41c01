/**
 * Checks one cell of the fault matrix: a core and a Hub, content that is cached or not, a fault at one place,
 * and one request. The result is one line of text, so that a table of such lines can be read as the
 * specification.
 */
import assert from 'node:assert/strict';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { CoreLimits } from '../../src/core/limits.ts';
import type { Digest } from '../../src/registry/digest.ts';
import { DOCKER_HUB } from '../../src/registry/repository.ts';
import { assertBytes } from './assert-bytes.ts';
import { FakeHub, type HubServer } from './fake-hub.ts';
import type { Behaviour } from './fault.ts';
import type { TestResponse } from './http.ts';
import { imageOf, type TestImage } from './image.ts';
import { ACCOUNT, SHORT_LIMITS, TestCore } from './test-core.ts';
import { waitFor } from './wait-for.ts';

/** `storage` is the place of a blob's bytes, behind the registry's redirect. */
export type Target = 'tag' | 'digest' | 'blob' | 'storage' | 'token';
/**
 * `cached`: a tag is no longer fresh. `moved`: it also names something else by now, and only the GET of that
 * is faulty. `aged`: so long ago that the upstream is asked again whether the repository is still public.
 */
export type State = 'not cached' | 'cached' | 'moved' | 'aged';
/** The answer, and how many requests reached the upstream, such as `404 BLOB_UNKNOWN · 1`. */
export type Expectation = `${string} · ${'' | '≤ '}${number}`;

export interface Cell {
  readonly target: Target;
  readonly state: State;
  readonly fault: FaultName;
  /** How often the fault occurs; absent: always. */
  readonly times?: number;
  readonly grant?: 'public' | 'private';
}

/**
 * The limits of the core. Two limits that could end the same wait differ by more than a wait may be late, so
 * that a test can tell which one ended it.
 */
const LIMITS: CoreLimits = {
  ...SHORT_LIMITS,
  headers: 3000,
  bodyIdle: 600,
  token: 1500,
  question: 4500,
  revalidation: 1500,
};
/** In milliseconds: how much a wait may exceed its deadline. */
const LATE = 1000;

const REPOSITORY = 'library/alpine';
const LAYER_SIZE = 100_000;
const MINUTE = 60_000;
/**
 * A slow drip takes 1.5 times as long as any request may, and its pieces are closer together than `bodyIdle`.
 */
const PIECES = 40;
const EVERY = Math.ceil((LIMITS.question * 1.5) / PIECES);

interface Place {
  readonly hub: FakeHub;
  readonly server: HubServer;
  readonly match: RegExp;
  /** The size of the body, or less if it varies. */
  readonly size: number;
}

const BEHAVIOURS = {
  hang: () => ({ kind: 'hang' }),
  'reset before the headers': () => ({ kind: 'cut' }),
  'reset after 1 %': ({ size }) => ({ kind: 'reset', at: Math.ceil(size * 0.01) }),
  'reset after 50 %': ({ size }) => ({ kind: 'reset', at: Math.ceil(size * 0.5) }),
  'reset after 99 %': ({ size }) => ({ kind: 'reset', at: Math.floor(size * 0.99) }),
  truncated: ({ size }) => ({ kind: 'truncate', at: Math.ceil(size * 0.1) }),
  'truncated, length unknown': ({ size }) => ({
    kind: 'truncate',
    at: Math.ceil(size * 0.1),
    unsized: true,
  }),
  stall: ({ size }) => ({
    kind: 'pause',
    at: Math.ceil(size * 0.1),
    gate: Promise.withResolvers<void>().promise,
  }),
  'length too large': () => ({ kind: 'length', by: 50 }),
  'length too small': () => ({ kind: 'length', by: -50 }),
  'wrong first byte': () => ({ kind: 'corrupt', at: 0 }),
  'wrong last byte': () => ({ kind: 'corrupt', at: -1 }),
  // The manifest's last layer keeps its size, so that only the digest can tell.
  'wrong digit': () => ({ kind: 'corrupt', at: -4 }),
  'slow drip': ({ size }) => ({ kind: 'drip', bytes: Math.ceil(size / PIECES), every: EVERY }),
  '429 with Retry-After': () => ({ kind: 'status', status: 429, headers: { 'retry-after': '120' } }),
  '429 without Retry-After': () => ({ kind: 'status', status: 429 }),
  // This is how the Hub limits abuse: without JSON, and with header lines that end in a bare LF.
  '429 for abuse': () => ({
    kind: 'raw',
    bytes:
      'HTTP/1.1 429 Too Many Requests\nContent-Type: text/plain\nRetry-After: 60\nConnection: close\n\n' +
      'Too Many Requests (HAP429).\n',
  }),
  '401': ({ hub }) => ({
    kind: 'status',
    status: 401,
    headers: { 'www-authenticate': `${hub.challenge(REPOSITORY)},error="insufficient_scope"` },
  }),
  '401 for the token': ({ hub }) => ({
    kind: 'status',
    status: 401,
    headers: { 'www-authenticate': `${hub.challenge(REPOSITORY)},error="invalid_token"` },
  }),
  '403': () => ({ kind: 'status', status: 403 }),
  '404': () => ({ kind: 'status', status: 404 }),
  '500': () => ({ kind: 'status', status: 500 }),
  '503': () => ({ kind: 'status', status: 503 }),
} satisfies Record<string, (place: Place) => Behaviour>;

/** Addresses at which no server answers. Nobody listens on port 1. */
const ADDRESSES = {
  'connection refused': () => new URL('http://127.0.0.1:1'),
  // The label is longer than DNS allows: every resolver fails at once, and asks nobody.
  'DNS failure': () => new URL(`http://${'n'.repeat(64)}.invalid`),
  'TLS failure': (server: URL) => new URL(`https://${server.host}`),
} satisfies Record<string, (server: URL) => URL>;

export type FaultName = keyof typeof BEHAVIOURS | keyof typeof ADDRESSES;

/**
 * Sends the request of the cell. Fails if the result is not the expected one, or comes too late, or is wrong.
 */
export async function checkCell(cell: Cell, expected: Expectation): Promise<void> {
  await using hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  const image = imageOf({ size: LAYER_SIZE });
  hub.push(REPOSITORY, '3.20', image);
  await using core = await TestCore.start(hub, { limits: LIMITS });
  await prepare(cell, core, image);
  if (cell.state === 'moved') hub.push(REPOSITORY, '3.20', imageOf());
  await plant(cell, core, hub, image);
  hub.takeRequests();

  // Time in which the machine stands still is not a wait of the core.
  const standstill = monitorEventLoopDelay();
  standstill.enable();
  const begun = performance.now();
  const response = await core.ask(targetOf(cell, image), { grant: cell.grant ?? 'public' });
  const took = performance.now() - begun - standstill.max / 1e6;
  // An upstream that has failed may be probed in addition to the expected requests.
  const asked = hub.log.filter(({ path }) => path !== '/v2/').length;
  const answer = isBlob(cell) ? await readBlob(response, core, image) : readManifest(response, image);
  standstill.disable();

  assert.ok(took <= deadlineOf(cell) + LATE, `it took ${Math.round(took)} ms`);
  // A machine that stands still between two pieces makes the core resume the download.
  const isPieceLate = cell.fault === 'slow drip' && standstill.max / 1e6 > LIMITS.bodyIdle - EVERY;
  assertExpected(`${answer} · ${asked}`, isPieceLate ? atMost(LIMITS.resumptions + 2, expected) : expected);
  for (const [digest, bytes] of [...image.blobs, [image.digest, image.bytes] as const]) {
    assertBytes(await core.content(digest).catch(() => bytes), bytes, 'wrong bytes are in the cache');
  }
}

function atMost(requests: number, expected: Expectation): Expectation {
  return `${expected.slice(0, expected.lastIndexOf(' · '))} · ≤ ${requests}`;
}

function assertExpected(observed: string, expected: Expectation): void {
  const [, answer, most] = /^(.* · )≤ (\d+)$/.exec(expected) ?? [];
  if (answer === undefined) return assert.equal(observed, expected);
  const asked = Number(observed.split(' · ').at(-1));
  assert.ok(observed.startsWith(answer) && asked <= Number(most), `${observed}, and not ${expected}`);
}

/** Prepares the state. A blob is requested as pulls do it, after the manifest that names it. */
async function prepare(cell: Cell, core: TestCore, image: TestImage): Promise<void> {
  const { state, target, grant = 'public' } = cell;
  if (state === 'not cached' && !isBlob(cell)) return;
  assert.equal((await core.ask(`${REPOSITORY}/manifests/3.20`, { grant })).status, 200);
  if (state === 'not cached') return;
  if (isBlob(cell)) assert.ok(Buffer.isBuffer(await core.blob(targetOf(cell, image), grant)));
  // The clock passes the freshness of a tag and, if a new token is to be needed, the life of the old one.
  core.now += state === 'aged' ? 11 * MINUTE : target === 'token' ? 5 * MINUTE : MINUTE + 1;
}

async function plant(cell: Cell, core: TestCore, hub: FakeHub, image: TestImage): Promise<void> {
  const { target, fault, times } = cell;
  if (!(fault in ADDRESSES)) {
    const place = placeOf(cell, hub, image);
    const behaviour = BEHAVIOURS[fault as keyof typeof BEHAVIOURS](place);
    return hub.plant(place.server, place.match, behaviour, times);
  }
  const address = ADDRESSES[fault as keyof typeof ADDRESSES];
  if (target === 'storage') {
    const location = new URL('/data', address(hub.cdnUrl)).href;
    return hub.plant('registry', /^GET \S+\/blobs\//, { kind: 'status', status: 307, headers: { location } });
  }
  const url = target === 'token' ? hub.url : address(hub.url);
  if (target === 'token') {
    const challenge = hub.challenge(REPOSITORY, new URL('/token', address(hub.tokenUrl)));
    const headers = { 'www-authenticate': challenge };
    hub.plant('registry', /./, { kind: 'status', status: 401, headers });
  }
  await core.restart({ upstreams: [{ host: DOCKER_HUB, url, credential: ACCOUNT }] });
}

function placeOf({ target, state }: Cell, hub: FakeHub, image: TestImage): Place {
  const everywhere = { hub, match: state === 'moved' ? /^GET/ : /./ };
  switch (target) {
    case 'token':
      return { ...everywhere, server: 'token', size: 150 };
    case 'storage':
      return { ...everywhere, server: 'cdn', size: LAYER_SIZE };
    default:
      return { ...everywhere, server: 'registry', size: image.bytes.length };
  }
}

function targetOf(cell: Cell, image: TestImage): string {
  if (isBlob(cell)) return `${REPOSITORY}/blobs/${layerOf(image)}`;
  return `${REPOSITORY}/manifests/${cell.target === 'digest' ? image.digest : '3.20'}`;
}

function isBlob({ target }: Cell): boolean {
  return target === 'blob' || target === 'storage';
}

function layerOf(image: TestImage): Digest {
  return image.layers[0] ?? assert.fail();
}

/** Returns how long the caller may have to wait in this cell. */
function deadlineOf({ target, state, fault, times }: Cell): number {
  if (state === 'moved') return LIMITS.revalidation + LIMITS.question;
  if (state !== 'not cached') return LIMITS.revalidation;
  if (target === 'token' && times === undefined) return LIMITS.token;
  if (target !== 'storage') return LIMITS.question;
  if (fault === 'slow drip') return LIMITS.question + PIECES * EVERY;
  // Each resumption is a wait of its own, and may be late by itself.
  const { resumptions, resumeAfter, bodyIdle, question } = LIMITS;
  const pauses = Array.from(
    { length: Math.min(times ?? resumptions, resumptions) },
    (_, i) => resumeAfter * 2 ** i,
  );
  return pauses.reduce((sum, pause) => sum + pause + bodyIdle + LATE, question);
}

function readManifest(response: TestResponse, image: TestImage): string {
  if (response.status === 200) {
    assertBytes(response.body, image.bytes, 'the manifest is wrong');
    assert.equal(response.headers['docker-content-digest'], image.digest);
    assert.equal(response.headers['content-type'], image.mediaType);
  }
  return outcomeOf(response);
}

/** Describes the answer for a blob and how it ends, read as the gateway reads it. */
async function readBlob(response: TestResponse, core: TestCore, image: TestImage): Promise<string> {
  if (response.status !== 200) return outcomeOf(response);
  const digest = layerOf(image);
  const [start, ...progress] = linesOf(response.body);
  const end = progress.at(-1)?.kind ?? 'verified';
  if (end !== 'verified') return `${outcomeOf(response)}, ${end}`;
  const written = progress.slice(0, -1).map((line) => line.written ?? 0);
  assert.deepEqual(
    written,
    written.toSorted((a, b) => a - b),
    'a fill goes backwards',
  );
  await waitFor(() =>
    core.content(digest).then(
      () => true,
      () => false,
    ),
  );
  assertBytes(await core.content(digest), image.blobs.get(digest), 'the blob is wrong');
  return `${outcomeOf(response)}, right${start?.size === LAYER_SIZE ? '' : ` but for its size`}`;
}

interface Line {
  readonly kind?: string;
  readonly size?: number;
  readonly written?: number;
}

function linesOf(body: Buffer): Line[] {
  const text = body.toString().trim().split('\n');
  return text.map((line) => JSON.parse(line));
}

function outcomeOf({ status, headers }: TestResponse): string {
  const what = headers['hubgate-error'] ?? headers['hubgate-cache'];
  const wait = headers['retry-after'];
  return `${status} ${what}${wait === undefined ? '' : `, ${wait} s`}`;
}
