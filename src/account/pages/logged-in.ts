import { type Html, html } from '../html.ts';
import { framed } from './layout.ts';

export interface LoggedInPage {
  readonly host: string;
  readonly user: string;
  /** The page that was wanted before the login. */
  readonly returnTo: string;
}

/** Follows a login at an identity provider. The browser goes on by itself, or by the link if it may not. */
export function loggedInPage({ host, user, returnTo }: LoggedInPage): Html {
  return framed(
    { title: 'You are logged in', host, goesTo: returnTo },
    html`<div class="good" role="status"><p>You are logged in as <strong>${user}</strong>.</p></div>
<p><a href="${returnTo}">Go on</a> if your browser does not do so by itself.</p>`,
  );
}
