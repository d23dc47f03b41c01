import { type Html, html } from '../html.ts';
import { csrfField, framed, type PageUser, reasonList } from './layout.ts';

export interface PasswordPage {
  readonly host: string;
  readonly user: PageUser;
  readonly reasons?: readonly string[];
  readonly isDone?: boolean;
}

export function passwordPage({ host, user, reasons = [], isDone = false }: PasswordPage): Html {
  return framed(
    { title: 'Change your password', host, user, at: '/account/password' },
    html`${reasonList(reasons)}
${isDone && html`<div class="good" role="status"><p>Your password is changed. Everybody else who used the old one is logged out.</p></div>`}
${
  user.canChangePassword
    ? html`<p>Your other sessions end, and so do the logins of machines that use the password. Your tokens go on working.</p>
<form class="fields" method="post" action="/account/password">
${csrfField(user.csrf)}
<input type="hidden" name="username" value="${user.user}" autocomplete="username">
<div><label for="current">Current password</label>
<input id="current" name="current" type="password" autocomplete="current-password" required></div>
<div><label for="password">New password</label>
<input id="password" name="password" type="password" autocomplete="new-password" minlength="10" required
aria-describedby="password-hint"><p class="hint" id="password-hint">At least 10 characters.</p></div>
<div><label for="again">The same again</label>
<input id="again" name="again" type="password" autocomplete="new-password" required></div>
<div class="actions"><button>Change the password</button></div>
</form>`
    : html`<p>This mirror does not have your password. Change it where you log in.</p>`
}`,
  );
}
