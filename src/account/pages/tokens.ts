import type { OwnToken } from '../../protocol/account-api.ts';
import { type Html, html } from '../html.ts';
import { csrfField, framed, type PageUser, reasonList, timeText } from './layout.ts';

/** The text that somebody typed into the form. */
export interface TypedToken {
  readonly label: string;
  readonly days: string;
  readonly pull: string;
  readonly push: string;
  readonly from: string;
}

export interface TokensPage {
  readonly host: string;
  readonly user: PageUser;
  readonly tokens: readonly OwnToken[];
  /** The longest lifetime in days. */
  readonly longest: number;
  readonly now: number;
  readonly reasons?: readonly string[];
  readonly typed?: TypedToken;
  /** A token that was just made, and that nobody can read again. */
  readonly created?: { readonly token: string; readonly expiresAt: number } | undefined;
}

export function tokensPage(page: TokensPage): Html {
  const { host, user, reasons = [], created } = page;
  return framed(
    { title: 'My tokens', host, user, at: '/account/tokens' },
    html`${reasonList(reasons)}
${created !== undefined && createdToken(page, created)}
<p>A token is a password for one machine or program. It may do no more than you, and you can narrow it further. It goes on
working when you change your password, until it ends or you revoke it.</p>
${tokenTable(page)}
<h2>Make a token</h2>
${tokenForm(page)}`,
  );
}

function createdToken(
  { host, user }: TokensPage,
  { token, expiresAt }: NonNullable<TokensPage['created']>,
): Html {
  return html`<div class="good" role="status">
<p>This is your token. It is shown only this once: copy it now.</p>
<pre tabindex="0" aria-label="The new token"><code>${token}</code></pre>
<p>It is the password of <code>docker login ${host} -u ${user.user}</code>, and ends at ${timeText(expiresAt)}.</p>
</div>`;
}

function tokenTable({ user, tokens, now }: TokensPage): Html {
  if (tokens.length === 0) return html`<p>You have no tokens.</p>`;
  const rows = tokens.map(
    (token) => html`<tr>
<th scope="row">${token.label ?? 'without a name'}<br><code>${token.id}</code></th>
<td>${token.expiresAt <= now ? 'ended ' : ''}${timeText(token.expiresAt)}</td>
<td>${token.lastUsedAt === null ? 'never' : timeText(token.lastUsedAt)}${
      token.lastUsedFrom !== null && html`<br>from ${token.lastUsedFrom}`
    }</td>
<td>${limitsOf(token)}</td>
<td class="action"><form method="post" action="/account/tokens/revoke">${csrfField(user.csrf)}<input type="hidden" name="id"
value="${token.id}"><button class="danger" aria-label="Revoke ${token.label ?? token.id}">Revoke</button></form></td>
</tr>`,
  );
  return html`<div class="scroll" role="region" aria-label="Your tokens" tabindex="0"><table>
<caption>Your tokens</caption>
<thead><tr><th scope="col">Name</th><th scope="col">Ends</th><th scope="col">Last used</th><th scope="col">Limited
to</th><th scope="col" class="action">Revoke</th></tr></thead>
<tbody>${rows}</tbody></table></div>`;
}

function limitsOf({ pull, push, from }: OwnToken): Html {
  const lines = [
    ...(pull === null ? [] : [`pull ${pull.join(', ')}`]),
    ...(push === null ? [] : [`push ${push.join(', ')}`]),
    ...(from === null ? [] : [`from ${from.join(', ')}`]),
  ];
  return lines.length === 0 ? html`what you may do` : html`${lines.map((line) => html`<div>${line}</div>`)}`;
}

const NOTHING_TYPED: TypedToken = { label: '', days: '', pull: '', push: '', from: '' };

function tokenForm({ user, longest, typed = NOTHING_TYPED }: TokensPage): Html {
  const days = typed.days === '' ? String(Math.min(90, longest)) : typed.days;
  return html`<form class="fields" method="post" action="/account/tokens">
${csrfField(user.csrf)}
<div><label for="label">Name</label>
<input id="label" name="label" value="${typed.label}" maxlength="100" autocomplete="off" required
aria-describedby="label-hint"><p class="hint" id="label-hint">For example the name of the machine.</p></div>
<div><label for="days">Days until it ends</label>
<input id="days" name="days" value="${days}" type="number" min="1" max="${longest}" required
aria-describedby="days-hint"><p class="hint" id="days-hint">At most ${longest}.</p></div>
<div><label for="pull">May pull only</label>
<textarea id="pull" name="pull" aria-describedby="pull-hint">${typed.pull}</textarea><p class="hint"
id="pull-hint">One pattern on each line, such as library/* or acme/**. Empty: all that you may pull.</p></div>
<div><label for="push">May push only</label>
<textarea id="push" name="push" aria-describedby="push-hint">${typed.push}</textarea><p class="hint"
id="push-hint">Patterns of repositories that this mirror hosts. Empty: all that you may push, unless you narrow what it may
pull.</p></div>
<div><label for="from">Works only from</label>
<textarea id="from" name="from" aria-describedby="from-hint">${typed.from}</textarea><p class="hint"
id="from-hint">One network on each line, such as 10.0.0.0/8. Empty: from everywhere.</p></div>
<div class="actions"><button>Make the token</button></div>
</form>`;
}
