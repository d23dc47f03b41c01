/**
 * Draws docs/account.png, the account page of a user who has pulled: `npm run docs:account`. It needs
 * Chromium.
 */
import path from 'node:path';
import { chromium } from 'playwright-core';
import { imageOf } from '../test/support/image.ts';
import { PASSWORD } from '../test/support/test-hubgate.ts';
import { withMirror } from '../test/support/with-mirror.ts';

await using scope = new AsyncDisposableStack();
const { hubgate } = await withMirror(
  { after: (stop) => scope.defer(stop) },
  {
    policy: `
allow:
  - { id: base, pull: library/**, to: authenticated }
  - { id: pay, pull: acme/pay-**, to: ana, private: true }
deny:
  - { id: old, pull: library/centos, to: authenticated, because: "CentOS is at its end; use debian" }
`,
    users: ['ana'],
    images: { 'library/alpine:3.22': imageOf(), 'library/nginx:1.29': imageOf() },
    privateImages: { 'acme/pay-api:1.4': imageOf() },
  },
);
await hubgate.startAccount();
for (const target of [
  'library/alpine/manifests/3.22',
  'library/nginx/manifests/1.29',
  'library/centos/manifests/7',
  'acme/pay-api/manifests/1.4',
])
  await hubgate.ask(`/v2/${target}`, { user: 'ana', headers: { 'user-agent': 'docker/29.1.3' } });

const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
scope.defer(() => browser.close());
const page = await browser.newPage({ ignoreHTTPSErrors: true, viewport: { width: 960, height: 600 } });
await page.goto(`https://localhost:${hubgate.port}/account/login`);
await page.getByLabel('User name').fill('ana');
await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
await page.getByRole('button', { name: 'Log in' }).click();
await page.getByRole('link', { name: 'My pulls' }).click();
await page.getByRole('table').waitFor();
await page.screenshot({ path: path.join(import.meta.dirname, '../docs/account.png'), fullPage: true });
