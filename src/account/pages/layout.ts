import { type Html, html } from '../html.ts';

const PAGES = [
  ['/account/', 'Overview'],
  ['/account/tokens', 'My tokens'],
  ['/account/activity', 'My pulls'],
  ['/account/connect', 'Connect a machine'],
  ['/account/device', 'Approve a device'],
  ['/account/password', 'Password'],
] as const;

export type PagePath = (typeof PAGES)[number][0];

/** The user of a page that needs a login. */
export interface PageUser {
  readonly user: string;
  readonly csrf: string;
  readonly canChangePassword: boolean;
}

export interface PageFrame {
  readonly title: string;
  /** The host of the mirror, as users type it. */
  readonly host: string;
  /** Absent on a page that needs no login. */
  readonly user?: PageUser | undefined;
  /** The page that is shown, if it is one of the menu. */
  readonly at?: PagePath;
  /** The path to which a browser goes by itself. */
  readonly goesTo?: string;
}

/** Puts the content of a page between the parts that all pages have. */
export function framed({ title, host, user, at, goesTo }: PageFrame, content: Html): Html {
  return html`<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
${goesTo !== undefined && html`<meta http-equiv="refresh" content="0; url=${goesTo}">`}
<title>${title} · ${host}</title>
<link rel="stylesheet" href="/account/style.css">
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header><div>
<span class="brand">Hubgate · ${host}</span>
${user !== undefined && menu(user, at)}
</div></header>
<main id="main" tabindex="-1">
<h1>${title}</h1>
${content}
</main>
<footer>${user !== undefined && html`<p>You are logged in as <strong>${user.user}</strong>.</p>`}</footer>
</body>
</html>`;
}

function menu({ csrf, canChangePassword }: PageUser, at: PagePath | undefined): Html {
  const shown = PAGES.filter(([path]) => path !== '/account/password' || canChangePassword);
  const items = shown.map(([path, title]) =>
    path === at
      ? html`<li><a href="${path}" aria-current="page">${title}</a></li>`
      : html`<li><a href="${path}">${title}</a></li>`,
  );
  return html`<nav aria-label="Account"><ul>${items}</ul></nav>
<form method="post" action="/account/logout">${csrfField(csrf)}<button class="quiet">Log out</button></form>`;
}

/** Each form that changes something has it. */
export function csrfField(csrf: string): Html {
  return html`<input type="hidden" name="csrf" value="${csrf}">`;
}

/** Says why something was not done. A screen reader reads it first. */
export function reasonList(reasons: readonly string[]): Html {
  if (reasons.length === 0) return html``;
  return html`<div class="wrong" role="alert"><ul>${reasons.map((reason) => html`<li>${reason}</li>`)}</ul></div>`;
}

/** Writes a time as people read it, in UTC, because the page does not know the zone of the reader. */
export function timeText(time: number): Html {
  const iso = new Date(time).toISOString();
  return html`<time datetime="${iso}">${iso.slice(0, 16).replace('T', ' ')} UTC</time>`;
}
