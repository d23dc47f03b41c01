import type { ShownDevice } from '../../protocol/device-api.ts';
import { type Html, html } from '../html.ts';
import { csrfField, framed, type PageUser, reasonList, timeText } from './layout.ts';

export interface DevicePage {
  readonly host: string;
  readonly user: PageUser;
  readonly reasons?: readonly string[];
  /** The code that was typed. */
  readonly code?: string;
  /** The machine that waits with this code. */
  readonly device?: ShownDevice;
  /** The decision of a moment ago. */
  readonly decided?: 'approved' | 'refused';
}

export function devicePage(page: DevicePage): Html {
  const { host, user, reasons = [], device, decided } = page;
  return framed(
    { title: 'Approve a device', host, user, at: '/account/device' },
    html`${reasonList(reasons)}
${decided !== undefined && html`<div class="good" role="status"><p>${DECIDED[decided]}</p></div>`}
${device === undefined ? codeForm(page) : decisionForm(page, device)}`,
  );
}

const DECIDED = {
  approved: 'The machine gets its token in a few seconds. You can revoke it among your tokens.',
  refused: 'The machine gets no token.',
};

function codeForm({ code = '' }: DevicePage): Html {
  return html`<p>A machine on which you ran <code>hubgate login</code> shows a code. Type it here.</p>
<form class="fields" method="get" action="/account/device">
<div><label for="user_code">Code</label>
<input id="user_code" name="user_code" value="${code}" maxlength="20" autocomplete="off" autocapitalize="characters"
spellcheck="false" required></div>
<div class="actions"><button>Show the machine</button></div>
</form>`;
}

function decisionForm({ user }: DevicePage, device: ShownDevice): Html {
  return html`<p>Approve it only if this is your machine, and if it shows this code now. It may then pull as you.</p>
<dl>
<dt>Code</dt><dd><code>${device.user_code}</code></dd>
<dt>Name of the machine, as it says</dt><dd>${device.machine}</dd>
<dt>Its address</dt><dd>${device.address}</dd>
<dt>It asked at</dt><dd>${timeText(device.createdAt)}</dd>
</dl>
<form method="post" action="/account/device/decide">
${csrfField(user.csrf)}<input type="hidden" name="user_code" value="${device.user_code}">
<div class="actions"><button name="decision" value="approve">Approve</button>
<button class="danger" name="decision" value="refuse">Refuse</button></div>
</form>`;
}
