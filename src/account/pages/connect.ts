import { type Html, html } from '../html.ts';
import { SNIPPET_CLIENTS, type SnippetClient, type SnippetMirror } from '../snippets.ts';
import { csrfField, framed, type PageUser, reasonList } from './layout.ts';

export interface ConnectPage {
  readonly mirror: SnippetMirror;
  readonly user: PageUser;
  readonly client: SnippetClient;
  readonly reasons?: readonly string[];
  /** A token that was just made for this machine. */
  readonly token?: string;
}

export function connectPage({ mirror, user, client, reasons = [], token }: ConnectPage): Html {
  const text = client.snippet(mirror, { user: user.user, token });
  return framed(
    { title: 'Connect a machine', host: mirror.host, user, at: '/account/connect' },
    html`${reasonList(reasons)}
<nav aria-label="Client"><ul>${SNIPPET_CLIENTS.map((one) => clientLink(one, client))}</ul></nav>
<h2>${client.title}</h2>
${
  client.isApproved === true
    ? html`<p>Paste this into a shell on the machine, which needs Node 20 or newer. It shows a code: <a
href="/account/device">type it here</a>, and the machine gets a token of its own.</p>`
    : token === undefined
      ? html`<p>Paste this into a shell on the machine. It asks for your password: type a <a href="/account/tokens">token</a>
there, or let this page put a new one into the text.</p>`
      : html`<div class="good" role="status"><p>The text has a new token in it, which is shown only this once. Paste it into a
shell on the machine.</p></div>`
}
<pre tabindex="0" aria-label="The text to paste"><code>${text}</code></pre>
${client.isApproved === true ? undefined : tokenForm(user, client)}`,
  );
}

function tokenForm(user: PageUser, client: SnippetClient): Html {
  return html`<h2>With a new token</h2>
<form class="fields" method="post" action="/account/connect">
${csrfField(user.csrf)}
<input type="hidden" name="client" value="${client.name}">
<div><label for="label">Name of the machine</label>
<input id="label" name="label" maxlength="100" autocomplete="off" required aria-describedby="label-hint"><p class="hint"
id="label-hint">The token gets this name, so that you can find and revoke it later.</p></div>
<div class="actions"><button>Make a token and show the text</button></div>
</form>`;
}

function clientLink({ name, title }: SnippetClient, current: SnippetClient): Html {
  const target = `/account/connect?client=${name}`;
  return name === current.name
    ? html`<li><a href="${target}" aria-current="page">${title}</a></li>`
    : html`<li><a href="${target}">${title}</a></li>`;
}
