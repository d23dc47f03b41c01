import { type Html, html } from '../html.ts';
import { framed, reasonList } from './layout.ts';

/** A login at a directory that shows a page of its own. */
export interface LoginLink {
  readonly name: string;
}

export interface LoginPage {
  readonly host: string;
  /** The page to which the login leads. */
  readonly returnTo: string;
  readonly links: readonly LoginLink[];
  readonly reasons?: readonly string[];
  /** The name that was typed before. */
  readonly name?: string;
}

export function loginPage({ host, returnTo, links, reasons = [], name = '' }: LoginPage): Html {
  const target = encodeURIComponent(returnTo);
  return framed(
    { title: 'Log in', host },
    html`${reasonList(reasons)}
${
  links.length > 0 &&
  html`<p class="actions">${links.map(
    (link) =>
      html`<a class="button" href="/account/login/${link.name}?to=${target}">Log in with ${link.name}</a>`,
  )}</p>
<h2>With a password</h2>`
}
<form class="fields" method="post" action="/account/login">
<input type="hidden" name="to" value="${returnTo}">
<div><label for="name">User name</label>
<input id="name" name="name" value="${name}" autocomplete="username" autocapitalize="none" spellcheck="false" required></div>
<div><label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required></div>
<div class="actions"><button>Log in</button></div>
</form>`,
  );
}
