/** Logins at an identity provider in Chromium: npm's `oidc-provider` in a process of its own. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type BrowserContext, type Browser as Chromium, chromium, type Page } from 'playwright-core';
import { Browser } from '../support/browser.ts';
import { DirectoryMirror, PAY } from '../support/directory-mirror.ts';
import { examinePage } from './support/examine-page.ts';
import { foreignSite } from './support/foreign-site.ts';
import { reachByTab } from './support/keyboard.ts';
import { ensurePackages } from './support/packages.ts';

const scope = new AsyncDisposableStack();
let browser: Chromium;
let mirror: DirectoryMirror;
let origin: string;

before(async () => {
  await ensurePackages({ chromium: 'chromium' });
  mirror = await DirectoryMirror.start({ after: (stop) => scope.defer(stop) });
  ({ origin } = mirror);
  for (const name of ['ana', 'bo'])
    await mirror.provider.setPerson(name, { preferred_username: name, groups: ['payments'] });
  await mirror.provider.setPerson('local', { preferred_username: 'local', groups: [] });
  await mirror.provider.asksWhoItIs();
  browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
  scope.defer(() => browser.close());
});

after(() => scope.disposeAsync());

type Look = NonNullable<Parameters<Chromium['newContext']>[0]>;

/** Opens a browser of its own, without cookies. */
async function open(options: Look = {}): Promise<{ page: Page; context: BrowserContext }> {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options });
  scope.defer(() => context.close());
  return { page: await context.newPage(), context };
}

/** Types at the provider who it is. */
async function signIn(page: Page, name: string): Promise<void> {
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await page.getByLabel('Person').fill(name);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

async function logIn(page: Page, name: string): Promise<void> {
  await page.goto(`${origin}/account/`);
  await page.getByRole('link', { name: 'Log in with corp' }).click();
  await signIn(page, name);
  await page.waitForURL(`${origin}/account/`);
}

for (const javaScriptEnabled of [true, false])
  test(`somebody logs in, makes a token, connects a machine and logs out by the keyboard, ${
    javaScriptEnabled ? 'with' : 'without'
  } JavaScript`, async () => {
    const { page, context } = await open({ javaScriptEnabled });
    const violations: string[] = [];
    page.on('console', (message) => {
      if (/Content.Security.Policy|Refused to/i.test(message.text())) violations.push(message.text());
    });
    const choose = async (name: string) => {
      await reachByTab(page, name);
      await page.keyboard.press('Enter');
    };
    await page.goto(`${origin}/account/tokens`);
    await choose('Log in with corp');
    // The provider has put the focus into its field.
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await page.keyboard.type('ana');
    await page.keyboard.press('Enter');
    await page.waitForURL(`${origin}/account/tokens`);
    assert.match(String(await page.locator('footer').textContent()), /logged in as ana/);
    assert.deepEqual(
      (await context.cookies(origin)).map(({ name, httpOnly, secure, sameSite }) => [
        ...[name, httpOnly, secure, sameSite],
      ]),
      [['__Host-hubgate', true, true, 'Strict']],
    );
    await reachByTab(page, 'Name');
    await page.keyboard.type('my laptop');
    await choose('Make the token');
    const token = String(await page.getByLabel('The new token').textContent()).trim();
    assert.equal((await mirror.hubgate.ask(PAY, { user: 'ana', password: token })).status, 200);
    await choose('Connect a machine');
    await page.waitForURL(`${origin}/account/connect`);
    await choose('Podman, Buildah and Skopeo');
    await page.waitForURL(`${origin}/account/connect?client=podman`);
    await reachByTab(page, 'Name of the machine');
    await page.keyboard.type('build-7');
    await choose('Make a token and show the text');
    const text = String(await page.getByLabel('The text to paste').textContent());
    const [password = ''] = /hubgate_[0-9A-Za-z]{46}/.exec(text) ?? [];
    assert.equal((await mirror.hubgate.ask(PAY, { user: 'ana', password })).status, 200);
    await choose('Log out');
    await page.waitForURL(`${origin}/account/login`);
    assert.deepEqual(await context.cookies(origin), []);
    await page.goto(`${origin}/account/tokens`);
    assert.match(page.url(), /\/account\/login\?to=/);
    assert.deepEqual(violations, []);
  });

for (const colorScheme of ['light', 'dark'] as const)
  test(`axe finds nothing wrong on the pages of a login, in ${colorScheme} and on a narrow screen`, async () => {
    for (const viewport of [
      { width: 1200, height: 900 },
      { width: 360, height: 740 },
    ]) {
      const { page } = await open({ colorScheme, viewport });
      const examine = (name: string) => examinePage(page, `provider-${name}`, { colorScheme, viewport });
      await page.goto(`${origin}/account/login`);
      await examine('login');
      await page.getByLabel('User name').fill('nobody');
      await page.getByLabel('Password', { exact: true }).fill('wrong');
      await page.getByRole('button', { name: 'Log in', exact: true }).click();
      await page.getByRole('alert').waitFor();
      await examine('wrong-password');
      await page.getByRole('link', { name: 'Log in with corp' }).click();
      await signIn(page, 'local');
      await page.getByRole('alert').waitFor();
      await examine('refused');
      const { page: other } = await open({ colorScheme, viewport });
      // An answer without content keeps the page that leads on.
      await other.route(`${origin}/account/`, (route) => route.fulfill({ status: 204 }));
      await other.goto(`${origin}/account/login`);
      await other.getByRole('link', { name: 'Log in with corp' }).click();
      await signIn(other, 'ana');
      await other.getByRole('status').waitFor();
      await examinePage(other, 'provider-done', { colorScheme, viewport });
      await other.unroute(`${origin}/account/`);
      // The other pages are those of everybody else, see account.e2e.ts.
      await other.goto(`${origin}/account/`);
      await examinePage(other, 'provider-overview', { colorScheme, viewport });
    }
  });

test('nobody can be logged in as somebody else, or out, by a page of another site', async () => {
  const { page } = await open();
  await logIn(page, 'bo');
  // The answer of the provider to a login that the attacker has begun.
  await mirror.provider.logsIn('ana');
  const back = await mirror.provider.browse(await mirror.begin(new Browser(mirror.hubgate)));
  await mirror.provider.asksWhoItIs();
  await using evil = await foreignSite(`
    <a href="${back.href}">Win a prize</a>
    <a href="${origin}/account/logout">Log out</a>
    <script>fetch('${origin}/account/logout', { method: 'POST', mode: 'no-cors', credentials: 'include' })
      .then(() => document.body.append('sent'), () => document.body.append('sent'))</script>`);
  await page.goto(evil.url);
  await page.getByText('sent').waitFor();
  await page.getByRole('link', { name: 'Win a prize' }).click();
  await page.getByRole('heading', { name: 'You are not logged in' }).waitFor();
  await page.goto(`${origin}/account/`);
  assert.match(String(await page.locator('footer').textContent()), /logged in as bo/);
  await page.goto(evil.url);
  await page.getByRole('link', { name: 'Log out' }).click();
  await page.waitForURL(`${origin}/account/logout`);
  await page.goto(`${origin}/account/`);
  assert.match(String(await page.locator('footer').textContent()), /logged in as bo/);
});

test('a link of another site brings no session with it', async () => {
  const { page } = await open();
  await logIn(page, 'bo');
  await using evil = await foreignSite(`<a href="${origin}/account/tokens">Your tokens</a>`);
  await page.goto(evil.url);
  await page.getByRole('link', { name: 'Your tokens' }).click();
  await page.waitForURL(`${origin}/account/login?to=%2Faccount%2Ftokens`);
});

test('a session is of no use on another host, and another host cannot set one', async () => {
  const { page, context } = await open();
  await logIn(page, 'bo');
  const [stolen] = await context.cookies(origin);
  assert.equal(stolen?.name, '__Host-hubgate');
  await using evil = await foreignSite(`<p id="said"></p><script>
    document.cookie = '__Host-hubgate=${'x'.repeat(43)}; Domain=localhost; Path=/; Secure';
    document.cookie = '__Host-hubgate=${'x'.repeat(43)}; Path=/account/; Secure';
    document.getElementById('said').textContent = 'said ' + document.cookie;
  </script>`);
  await page.goto(`http://evil.localhost:${evil.port}/`);
  assert.equal(String(await page.locator('#said').textContent()).trim(), 'said');
  await page.goto(`${origin}/account/`);
  assert.match(String(await page.locator('footer').textContent()), /logged in as bo/);
  // Another mirror, which has the same people.
  const other = await DirectoryMirror.start({ after: (stop) => scope.defer(stop) });
  const { context: thief, page: there } = await open();
  await thief.addCookies([
    { name: '__Host-hubgate', value: stolen.value, url: other.origin, secure: true, httpOnly: true },
  ]);
  await there.goto(`${other.origin}/account/`);
  assert.match(there.url(), /\/account\/login/);
});
