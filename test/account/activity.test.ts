import assert from 'node:assert/strict';
import { appendFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { readActivity } from '../../src/account/activity.ts';
import { html } from '../../src/account/html.ts';
import { ACTIVITY } from '../../src/account/limits.ts';
import { Browser } from '../support/browser.ts';
import { withMirror } from '../support/with-mirror.ts';

let directory: string;
let file: string;

before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-activity-'));
  file = path.join(directory, 'audit.log');
});

after(() => rm(directory, { recursive: true }));

function line(subject: string, more: object = {}): string {
  const fields = {
    ...{
      action: 'pull',
      subject,
      address: '10.1.2.3',
      method: 'GET',
      repository: 'docker.io/library/alpine',
    },
    ...{ tag: 'latest', decision: 'allow', status: 200, milliseconds: 1, time: '2026-11-30T09:00:00.000Z' },
  };
  return `${JSON.stringify({ ...fields, ...more })}\n`;
}

const ANA = { subject: 'user:ana', isRefusedOnly: false, since: null };

test('only the lines of the subject itself are returned, the newest first', async () => {
  await writeFile(
    file,
    [
      line('user:ana', { tag: '1' }),
      line('user:anabel', { agent: '"user:ana"' }),
      line('service:ana'),
      line('user:jin', { agent: 'user:ana', rule: 'user:ana' }),
      line('user:jin', { repository: 'docker.io/user:ana', agent: '","subject":"user:ana' }),
      '{"subject":"user:ana","torn',
      '\n',
      line('user:ana', { action: 'token', repository: undefined, tag: undefined }),
      line('user:ana', { tag: '2', decision: 'deny', status: 403 }),
    ].join(''),
  );
  const all = await readActivity({ file, ...ANA });
  assert.deepEqual(
    all.lines.map(({ tag }) => tag),
    ['2', '1'],
  );
  assert.equal(all.isComplete, true);
  const refused = await readActivity({ file, ...ANA, isRefusedOnly: true });
  assert.deepEqual(
    refused.lines.map(({ tag }) => tag),
    ['2'],
  );
  const missing = await readActivity({ file: path.join(directory, 'none'), ...ANA });
  assert.deepEqual(missing, { lines: [], isComplete: true });
});

test('the lines of somebody who had the name before are not returned', async () => {
  const own = path.join(directory, 'names.log');
  const times = [8, 9, 10].map((hour) => `2026-11-30T${String(hour).padStart(2, '0')}:00:00.000Z`);
  await writeFile(own, times.map((time, index) => line('user:ana', { time, tag: String(index) })).join(''));
  const tags = async (since: number | null) =>
    (await readActivity({ ...ANA, file: own, since })).lines.map(({ tag }) => tag);
  assert.deepEqual(await tags(Date.parse(times[1] ?? '')), ['2', '1']);
  assert.deepEqual(await tags(null), ['2', '1', '0']);
});

test('only the end of a large log is read, and no line is lost between its parts', async () => {
  const filler = line('user:jin', { agent: 'x'.repeat(700) });
  const large = path.join(directory, 'large.log');
  await writeFile(large, line('user:ana', { tag: 'old' }));
  await appendFile(large, filler.repeat(Math.ceil(ACTIVITY.tail / filler.length)));
  for (let tag = 1; tag <= 40; tag++)
    await appendFile(large, line('user:ana', { tag: String(tag) }) + filler.repeat(37));
  const { lines, isComplete } = await readActivity({ file: large, ...ANA });
  assert.deepEqual(
    lines.map(({ tag }) => tag),
    Array.from({ length: 40 }, (_, index) => String(40 - index)),
  );
  assert.equal(isComplete, false);
  await appendFile(large, line('user:ana').repeat(ACTIVITY.lines + 5));
  assert.equal((await readActivity({ file: large, ...ANA })).lines.length, ACTIVITY.lines);
});

/** Texts that would become elements, attributes or programs if a page did not escape them. */
const ATTACKS = [
  '<script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  "'><svg onload=alert(1)>",
  '</td></tr></table><iframe src=javascript:alert(1)>',
  '" autofocus onfocus=alert(1) x="',
  '</code></pre><form action=https://evil.example><button>',
  '</title><base href=//evil.example/>',
  '&lt;script&gt;',
  '&#60;script&#62;',
  '`${alert(1)}`',
  '<!--',
  ']]><script>',
  'a\u202e<b\u2066c',
  '\u0000<\u0008x>',
  '<a href="jav&#x09;ascript:alert(1)">',
];

test('a template escapes every value for elements and attributes', () => {
  for (const attack of ATTACKS) {
    const text = String(html`<td title="${attack}">${attack}${[html`<i>${attack}</i>`]}</td>`);
    const outside = text.replace(/^<td title="([^"<>']*)">([^"<>']*)<i>([^"<>']*)<\/i><\/td>$/, '$1$2$3');
    assert.doesNotMatch(outside, /[<>"']|\p{Cc}|\p{Cf}/u, attack);
  }
  assert.equal(String(html`${undefined}${false}${0}`), '0');
  assert.throws(() => html`${{ toString: () => '<b>' } as unknown as string}`);
});

test('names of images, agents, rules and tokens are only text on every page', async (t) => {
  const { hubgate } = await withMirror(t, { policy: 'allow: []' });
  await hubgate.startAccount();
  await mkdir(path.dirname(hubgate.auditFile), { recursive: true });
  const entries = ATTACKS.map((attack) =>
    line('user:ana', {
      agent: attack,
      repository: attack,
      tag: attack,
      rule: attack,
      limit: attack,
      reason: `why ${attack}`,
    }),
  );
  await appendFile(hubgate.auditFile, entries.join(''));
  for (const label of ATTACKS) await hubgate.giveToken('ana', { label, pull: [label], from: null });
  const browser = new Browser(hubgate);
  await browser.logIn('ana');
  const csrf = await browser.csrf();
  const pages = [await browser.get('/account/activity'), await browser.get('/account/tokens')];
  for (const attack of ATTACKS) {
    const typed = { csrf, label: `${attack}\u202e`, days: attack, pull: attack, push: attack, from: attack };
    pages.push(await browser.post('/account/tokens', typed));
    pages.push(await browser.post('/account/connect', { csrf, client: attack, label: attack.repeat(20) }));
    pages.push(await browser.get(`/account/login?to=${encodeURIComponent(attack)}`));
    pages.push(await browser.post('/account/login', { name: attack, password: 'x', to: attack }));
  }
  for (const { text, status } of pages) {
    assert.ok(status < 500, text);
    // What is left of a page without its own elements has no element of an attacker.
    const elements = [...text.matchAll(/<\/?([a-zA-Z!][^\s>]*)/g)].map(([, name]) => name);
    for (const name of elements) assert.match(String(name), OWN_ELEMENTS, text.slice(0, 400));
    for (const [element] of text.matchAll(/<[^>]*>/g))
      assert.doesNotMatch(element.replace(/"[^"]*"/g, ''), /\s(?:on\w+|style)\s*=|["']/i, element);
    assert.doesNotMatch(text, /[^\P{Cc}\n]|\p{Cf}/u);
  }
  assert.match(pages[0]?.text ?? '', /<br>why /);
  assert.match(pages[0]?.text ?? '', /&lt;script&gt;alert\(1\)&lt;\/script&gt;/);
});

const OWN_ELEMENTS =
  /^(?:!doctype|html|head|meta|title|link|body|a|header|div|span|nav|ul|li|form|input|button|main|h1|h2|p|table|caption|thead|tbody|tr|th|td|code|pre|time|br|label|textarea|footer|strong|dl|dt|dd)$/;
