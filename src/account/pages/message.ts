import { type Html, html } from '../html.ts';
import { framed, type PageFrame, reasonList } from './layout.ts';

/** A page that says only what happened. */
export function messagePage(frame: PageFrame, reasons: readonly string[]): Html {
  return framed(
    frame,
    html`${reasonList(reasons)}
<p><a href="/account/">To the account page</a></p>`,
  );
}
