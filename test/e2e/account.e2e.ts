import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type BrowserContext, type Browser as Chromium, chromium, type Page } from 'playwright-core';
import { askAuth } from '../support/ask-auth.ts';
import { imageOf } from '../support/image.ts';
import { PASSWORD, type TestHubgate } from '../support/test-hubgate.ts';
import { withMirror } from '../support/with-mirror.ts';
import { examinePage } from './support/examine-page.ts';
import { foreignSite } from './support/foreign-site.ts';
import { reachByTab } from './support/keyboard.ts';
import { ensurePackages } from './support/packages.ts';

const ALPINE = '/v2/library/alpine/manifests/latest';
const PAGES = ['', 'tokens', 'activity', 'connect', 'device', 'password'];

const scope = new AsyncDisposableStack();
let browser: Chromium;
let hubgate: TestHubgate;
let origin: string;

before(async () => {
  await ensurePackages({ chromium: 'chromium' });
  const mirror = await withMirror(
    { after: (stop) => scope.defer(stop) },
    {
      policy: 'allow: [{ id: base, pull: library/**, to: authenticated }]',
      users: ['ana', 'jin', 'zoe', 'max'],
      images: { 'library/alpine': imageOf() },
    },
  );
  hubgate = mirror.hubgate;
  await hubgate.startAccount();
  origin = `https://localhost:${hubgate.port}`;
  browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
  scope.defer(() => browser.close());
});

after(() => scope.disposeAsync());

type Look = NonNullable<Parameters<Chromium['newContext']>[0]>;

/** Opens a browser of its own, without cookies. Every report of a broken content policy fails the test. */
async function open(
  options: Look = {},
): Promise<{ page: Page; context: BrowserContext; violations: string[] }> {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options });
  scope.defer(() => context.close());
  const page = await context.newPage();
  const violations: string[] = [];
  page.on('console', (message) => {
    if (/Content.Security.Policy|Refused to/i.test(message.text())) violations.push(message.text());
  });
  return { page, context, violations };
}

async function logIn(page: Page, name: string): Promise<void> {
  await page.goto(`${origin}/`);
  await page.getByLabel('User name').fill(name);
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.waitForURL(`${origin}/account/`);
}

async function wholeFlow(page: Page): Promise<void> {
  await logIn(page, 'ana');
  assert.match(String(await page.locator('footer').textContent()), /logged in as ana/);
  await page.getByRole('link', { name: 'My tokens' }).click();
  await page.getByLabel('Name', { exact: true }).fill('my laptop');
  await page.getByLabel('May pull only').fill('library/*');
  await page.getByRole('button', { name: 'Make the token' }).click();
  const token = String(await page.getByLabel('The new token').textContent()).trim();
  assert.equal((await hubgate.ask(ALPINE, { user: 'ana', password: token })).status, 200);
  await page.getByRole('link', { name: 'My pulls' }).click();
  assert.match(String(await page.getByRole('table').textContent()), /docker\.io\/library\/alpine:latest/);
  await page.getByRole('navigation', { name: 'Account' }).getByText('Connect a machine').click();
  await page.getByRole('link', { name: 'Podman, Buildah and Skopeo' }).click();
  await page.getByLabel('Name of the machine').fill('build-7');
  await page.getByRole('button', { name: 'Make a token and show the text' }).click();
  const text = String(await page.getByLabel('The text to paste').textContent());
  assert.match(text, /BEGIN CERTIFICATE[\s\S]*podman login localhost:\d+ -u ana --password-stdin/);
  const [password = ''] = /hubgate_[0-9A-Za-z]{46}/.exec(text) ?? [];
  assert.equal((await hubgate.ask(ALPINE, { user: 'ana', password })).status, 200);
  await page.getByRole('button', { name: 'Log out' }).click();
  await page.waitForURL(`${origin}/account/login`);
  await page.goto(`${origin}/account/tokens`);
  assert.match(page.url(), /\/account\/login\?to=/);
}

test('somebody logs in, makes a token, connects a machine and logs out', async () => {
  const { page, violations } = await open();
  await wholeFlow(page);
  assert.deepEqual(violations, []);
});

test('all of it works without JavaScript', async () => {
  const { page } = await open({ javaScriptEnabled: false });
  await wholeFlow(page);
});

test('a machine is approved by the code that it shows', async () => {
  const { page } = await open();
  const { body } = await askAuth(hubgate.paths.authSocket, '/device/begin', {
    machine: 'ana’s laptop',
    address: '10.1.1.1',
  });
  await logIn(page, 'ana');
  await page.getByRole('navigation', { name: 'Account' }).getByText('Approve a device').click();
  await page.getByLabel('Code', { exact: true }).fill(String(body.user_code));
  await page.getByRole('button', { name: 'Show the machine' }).click();
  assert.match(String(await page.getByRole('main').textContent()), /ana’s laptop[\s\S]*10\.1\.1\.1/);
  await page.getByRole('button', { name: 'Approve' }).click();
  assert.match(String(await page.getByRole('status').textContent()), /gets its token/);
  const poll = await askAuth(hubgate.paths.authSocket, '/device/poll', { device_code: body.device_code });
  assert.deepEqual([poll.status, poll.body.user], [200, 'ana']);
});

test('somebody gets everywhere with the keyboard alone', async () => {
  const { page } = await open();
  await page.goto(`${origin}/account/login`);
  const reach = (name: string) => reachByTab(page, name);
  await reach('User name');
  await page.keyboard.type('jin');
  await reach('Password');
  await page.keyboard.type(PASSWORD);
  await reach('Log in');
  await page.keyboard.press('Enter');
  await page.waitForURL(`${origin}/account/`);
  await reach('Skip to the content');
  await reach('My tokens');
  await page.keyboard.press('Enter');
  await page.waitForURL(`${origin}/account/tokens`);
  await reach('Name');
  await page.keyboard.type('by keyboard');
  await reach('Make the token');
  await page.keyboard.press('Enter');
  await page.getByLabel('The new token').waitFor();
  await reach('Revoke by keyboard');
  await page.keyboard.press('Enter');
  await page.getByText('You have no tokens.').waitFor();
  await reach('Log out');
  await page.keyboard.press('Enter');
  await page.waitForURL(`${origin}/account/login`);
});

for (const colorScheme of ['light', 'dark'] as const)
  test(`axe finds nothing wrong on any page, in ${colorScheme} and on a narrow screen`, async () => {
    for (const viewport of [
      { width: 1200, height: 900 },
      { width: 360, height: 740 },
    ]) {
      const { page } = await open({ colorScheme, viewport });
      const examine = (name: string) => examinePage(page, name, { colorScheme, viewport });
      await page.goto(`${origin}/account/login`);
      await examine('login');
      await logIn(page, 'zoe');
      await hubgate.giveToken('zoe', { label: 'desk', pull: ['docker.io/library/**'], from: ['10.0.0.0/8'] });
      await hubgate.ask(ALPINE, { user: 'zoe' });
      await hubgate.ask('/v2/acme/secret/manifests/latest', { user: 'zoe' });
      for (const name of PAGES) {
        await page.goto(`${origin}/account/${name}`);
        await examine(name);
      }
      await page.goto(`${origin}/account/activity`);
      const refused = await page
        .getByRole('cell', { name: /^refused/ })
        .first()
        .boundingBox();
      assert.ok(
        refused && refused.x + refused.width <= viewport.width,
        'whoever does not scroll sees no refusal',
      );
      await page.goto(`${origin}/account/tokens`);
      await page.getByLabel('Name', { exact: true }).fill('x');
      await page.getByLabel('May pull only').fill('**/../..');
      await page.getByRole('button', { name: 'Make the token' }).click();
      await page.getByRole('alert').waitFor();
      await examine('mistake');
      await page.goto(`${origin}/account/connect?client=podman`);
      await page.getByLabel('Name of the machine').fill('build-7');
      await page.getByRole('button', { name: 'Make a token' }).click();
      await page.getByRole('status').waitFor();
      await examine('connected');
    }
  });

test('a page of another site can neither act as somebody who is logged in, nor show the page in a frame', async () => {
  const { page, context } = await open();
  await logIn(page, 'max');
  await using evil = await foreignSite(`
    <form id="out" method="post" action="${origin}/account/logout"><button>out</button></form>
    <form id="in" method="post" action="${origin}/account/login">
      <input name="name" value="jin"><input name="password" value="${PASSWORD}"><button>in</button></form>
    <iframe src="${origin}/account/login"></iframe>`);
  for (const id of ['out', 'in']) {
    await page.goto(evil.url);
    const answered = page.waitForResponse((response) => response.request().method() === 'POST');
    await page.locator(`#${id} button`).click();
    const answer = await answered;
    assert.equal(answer.status(), 403);
    assert.doesNotMatch((await answer.request().allHeaders()).cookie ?? '', /hubgate/);
  }
  await page.goto(evil.url);
  await page.waitForLoadState('load');
  const [frame] = page.frames().slice(1);
  assert.equal(await frame?.locator('input').count(), 0);
  await page.goto(`${origin}/account/`);
  assert.match(String(await page.locator('footer').textContent()), /logged in as max/);
  const cookies = await context.cookies();
  assert.deepEqual(
    cookies.map(({ name, domain, path, secure, httpOnly, sameSite }) => [
      ...[name, domain, path, secure, httpOnly, sameSite],
    ]),
    [['__Host-hubgate', 'localhost', '/', true, true, 'Strict']],
  );
  // The same browser, on another name of the same machine.
  await page.goto(`https://127.0.0.1:${hubgate.port}/account/`);
  assert.match(page.url(), /\/account\/login/);
});
