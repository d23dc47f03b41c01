import assert from 'node:assert/strict';
import path from 'node:path';
import axe, { type AxeResults } from 'axe-core';
import type { Page } from 'playwright-core';

/** Where the pages are drawn for somebody who looks at them; absent if nobody does. */
const SCREENSHOTS = process.env.HUBGATE_SCREENSHOTS;

export interface ExaminedLook {
  readonly colorScheme: 'light' | 'dark';
  readonly viewport: { readonly width: number; readonly height: number };
}

/** Fails if axe finds something wrong on a page, or if it is wider than the screen. */
export async function examinePage(
  page: Page,
  name: string,
  { colorScheme, viewport }: ExaminedLook,
): Promise<void> {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate<AxeResults>('axe.run(document)');
  assert.deepEqual(
    violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]),
    [],
    `${name}, ${colorScheme}, ${viewport.width}`,
  );
  const width = await page.evaluate<number>('document.documentElement.scrollWidth');
  assert.ok(width <= viewport.width, `${name} is ${width} wide on a screen of ${viewport.width}`);
  if (SCREENSHOTS === undefined) return;
  const file = path.join(SCREENSHOTS, `${name || 'overview'}-${colorScheme}-${viewport.width}.png`);
  await page.screenshot({ path: file, fullPage: true });
}
