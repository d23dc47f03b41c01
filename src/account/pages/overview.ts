import type { OwnToken } from '../../protocol/account-api.ts';
import { type Html, html } from '../html.ts';
import { framed, type PageUser, timeText } from './layout.ts';

export interface OverviewPage {
  readonly host: string;
  readonly user: PageUser;
  readonly login: string | null;
  readonly expiresAt: number;
  readonly tokens: readonly OwnToken[];
  readonly now: number;
}

const SOON = 14 * 24 * 60 * 60_000;

export function overviewPage({ host, user, login, expiresAt, tokens, now }: OverviewPage): Html {
  const valid = tokens.filter((token) => token.expiresAt > now);
  const ending = valid.filter((token) => token.expiresAt < now + SOON);
  return framed(
    { title: 'Your account', host, user, at: '/account/' },
    html`<dl>
<dt>User</dt><dd>${user.user}</dd>
<dt>Login</dt><dd>${login === null ? 'a user of this mirror' : login}</dd>
<dt>This session ends</dt><dd>${timeText(expiresAt)}, or after half an hour without use</dd>
<dt>Tokens</dt><dd>${valid.length}${ending.length > 0 && html`, of which ${ending.length} ${ending.length === 1 ? 'ends' : 'end'} within two weeks`}</dd>
</dl>
<h2>What you can do here</h2>
<ul>
<li><a href="/account/connect">Connect a machine</a>: one text to paste for each client</li>
<li><a href="/account/tokens">Make, narrow and revoke tokens</a>, which machines use in place of your password</li>
<li><a href="/account/activity">See your pulls, and what was refused</a></li>
<li><a href="/account/device">Approve a device</a> that shows you a code</li>
${user.canChangePassword && html`<li><a href="/account/password">Change your password</a></li>`}
</ul>`,
  );
}
