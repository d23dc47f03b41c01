import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';

/**
 * What a screen reader calls the element with the focus, and how its outline looks. They run in the browser.
 */
const FOCUSED = `(() => {
  const element = document.activeElement;
  const label = element.id ? document.querySelector('label[for="' + element.id + '"]') : null;
  return (label?.textContent ?? element.getAttribute('aria-label') ?? element.textContent).trim();
})()`;
const OUTLINE = `(() => {
  const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
  return outlineStyle + ' ' + outlineWidth;
})()`;

/** Presses Tab until the wanted element has the focus, as somebody without a mouse does. */
export async function reachByTab(page: Page, name: string): Promise<void> {
  for (let count = 0; count < 40; count++) {
    await page.keyboard.press('Tab');
    const focused = await page.evaluate(FOCUSED);
    if (focused !== name) continue;
    const outline = String(await page.evaluate(OUTLINE));
    assert.match(outline, /^solid [1-9]/, `nobody sees that ${name} has the focus`);
    return;
  }
  assert.fail(`Tab does not reach ${name}`);
}
