/**
 * Tests that lists of tags can be read in pages of any length, whatever the upstream allows, and when it does
 * not answer.
 */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { DOCKER_HUB } from '../../../src/registry/repository.ts';
import { imageOf } from '../../support/image.ts';
import {
  json,
  page,
  refusal,
  type StandInBehaviour,
  StandInRegistry,
} from '../../support/stand-in-registry.ts';
import { TestCore } from '../../support/test-core.ts';
import { type LoggedLine, testLog } from '../../support/test-log.ts';

const LIST = 'acme/app/tags/list';
const TAGS = Array.from({ length: 2_500 }, (_, at) => `v${String(at).padStart(4, '0')}`);

let registry: StandInRegistry;
let core: TestCore;
let log: LoggedLine[];

beforeEach(async () => {
  registry = await StandInRegistry.start();
  const image = imageOf();
  for (const tag of TAGS) registry.push(tag, image);
  log = [];
  const upstreams = [{ host: DOCKER_HUB, url: registry.url }];
  core = await TestCore.start(registry, { upstreams, log: testLog(log) });
});

afterEach(async () => {
  await core[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
});

interface ListPage {
  readonly tags: readonly string[];
  readonly next: string | undefined;
  readonly cache: string;
}

async function list(query: string): Promise<ListPage> {
  const { status, headers, body } = await core.ask(`${LIST}${query}`);
  assert.equal(status, 200, `${query}: ${body}`);
  const { name, tags } = JSON.parse(body.toString());
  assert.equal(name, 'acme/app');
  const next = headers['hubgate-next'];
  return {
    tags,
    next: next === undefined ? undefined : String(next),
    cache: String(headers['hubgate-cache']),
  };
}

/** As clients read a whole list: page after page, as `Link` says. */
async function all(query: string): Promise<readonly string[]> {
  const tags: string[] = [];
  for (let next: string | undefined = query; next !== undefined; ) {
    const read = await list(next);
    tags.push(...read.tags);
    assert.ok(tags.length <= TAGS.length, 'it comes to an end');
    next = read.next === undefined ? undefined : `?${read.next}`;
  }
  return tags;
}

const lists = () => registry.requests.splice(0).map(({ query }) => query.get('n'));

/** Refuses pages that are longer. */
const refusesAbove =
  (most: number, status: number): StandInBehaviour =>
  ({ path, query }, usual) =>
    /tags/.test(path) && Number(query.get('n')) > most ? refusal(status, 'UNSUPPORTED') : usual;

for (const [what, behave, asked] of [
  ['ECR, which answers 405 above 1,000', refusesAbove(1000, 405), ['1000', '1000', '1000']],
  ['one that answers 400 above 100', refusesAbove(100, 400), ['1000', '100', '100']],
  ['one that takes no length', refusesAbove(0, 400), ['1000', '100', null]],
] as const)
  test(`a page of any length is listed: ${what}`, async () => {
    registry.behave = behave;
    assert.deepEqual(await all('?n=10000'), TAGS);
    assert.deepEqual(lists().slice(0, 3), asked);
    assert.deepEqual(
      log.filter(({ msg }) => msg === 'upstream trouble'),
      [],
    );
    registry.requests.length = 0;
    assert.equal((await list('?n=7')).tags.length, 7);
    assert.equal(registry.requests.length, 1, 'what it refuses is remembered');
  });

test('an upstream that pages by tokens is read to the end, and pages are cut from that: Quay', async () => {
  registry.behave = ({ path, query }, usual) => {
    if (!/tags/.test(path)) return usual;
    const begin = Number(query.get('next_page') ?? 0);
    const answer = json(200, { name: 'acme/app', tags: TAGS.slice(begin, begin + 500) });
    if (begin + 500 >= TAGS.length) return answer;
    const link = `<${path}?n=500&next_page=${begin + 500}>; rel="next"`;
    return { ...answer, headers: { ...answer.headers, link } };
  };
  assert.deepEqual(await all(''), TAGS);
  assert.deepEqual(await all('?n=900'), TAGS);
});

test('an upstream that divides no list, and ignores where a page begins, sends each tag once all the same', async () => {
  registry.behave = ({ path }, usual) =>
    /tags/.test(path) ? json(200, { name: 'acme/app', tags: TAGS }) : usual;
  assert.deepEqual(await all('?n=800'), TAGS);
});

test('a list that was read stands in for any page of it', async () => {
  await all('?n=1000');
  registry.behave = () => page(503);
  core.now += 3_600_000;
  for (const query of ['', '?n=10000', '?n=3', '?n=999']) {
    assert.deepEqual(await all(query), TAGS, query);
    assert.equal((await list(query)).cache, 'stale');
  }
  assert.deepEqual((await list('?n=2&last=v0003')).tags, ['v0004', 'v0005']);
  assert.deepEqual((await list('?last=v2498x')).tags, ['v2499']);
});

test('of a list that was read in part that part stands in, and beyond it is trouble', async () => {
  await list('?n=100');
  registry.behave = () => page(503);
  const first = await list('?n=60');
  assert.deepEqual(first.tags, TAGS.slice(0, 60));
  const second = await list(`?${first.next}`);
  assert.deepEqual(second.tags, TAGS.slice(60, 100));
  assert.equal((await core.ask(`${LIST}?${second.next}`)).status, 502, 'there are more');
  assert.equal((await core.ask(`${LIST}?last=v2000`)).status, 502);
});

test('a short first page does not take the rest of a list away', async () => {
  await all('');
  assert.equal((await list('?n=1')).tags.length, 1);
  registry.behave = () => page(503);
  assert.deepEqual(await all(''), TAGS);
});
