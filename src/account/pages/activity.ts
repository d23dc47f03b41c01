import type { StoredAuditLine } from '../../protocol/audit-line.ts';
import type { Activity } from '../activity.ts';
import { type Html, html } from '../html.ts';
import { framed, type PageUser, timeText } from './layout.ts';

export interface ActivityPage {
  readonly host: string;
  readonly user: PageUser;
  /** Undefined if this page may not read the audit log, or cannot. */
  readonly activity: Activity | undefined;
  readonly isRefusedOnly: boolean;
}

export function activityPage({ host, user, activity, isRefusedOnly }: ActivityPage): Html {
  const other = isRefusedOnly
    ? html`<a href="/account/activity">Show everything</a>`
    : html`<a href="/account/activity?only=refused">Show only what was refused</a>`;
  return framed(
    { title: 'My pulls and refusals', host, user, at: '/account/activity' },
    activity === undefined
      ? html`<p>The record of pulls cannot be read at the moment.</p>`
      : html`<p>${other}</p>
${
  activity.lines.length === 0
    ? html`<p>There is nothing to show. Pull an image, and load this page again.</p>`
    : activityTable(activity.lines)
}
${!activity.isComplete && html`<p class="hint">Older requests are not shown.</p>`}`,
  );
}

function activityTable(lines: readonly StoredAuditLine[]): Html {
  return html`<div class="scroll" role="region" aria-label="Your requests" tabindex="0"><table>
<caption>Your requests, the newest first</caption>
<thead><tr><th scope="col">Time</th><th scope="col">Answer</th><th scope="col">Image</th><th scope="col">Request</th><th
scope="col">From</th></tr></thead>
<tbody>${lines.map(activityRow)}</tbody></table></div>`;
}

function activityRow(line: StoredAuditLine): Html {
  const isRefused = line.decision === 'deny';
  return html`<tr>
<td>${timeText(Date.parse(line.time))}</td>
<td><span class="${isRefused ? 'refused' : 'allowed'}">${isRefused ? 'refused' : 'allowed'}</span>, ${line.status}${
    line.rule !== undefined && html`<br>rule ${line.rule}`
  }${line.reason !== undefined && html`<br>${line.reason}`}${line.limit !== undefined && html`<br>limit ${line.limit}`}${line.cache !== undefined && html`<br>${line.cache}`}</td>
<td class="image">${imageOf(line)}</td>
<td>${line.action}</td>
<td>${line.address}${line.agent !== undefined && html`<div class="agent">${line.agent}</div>`}</td>
</tr>`;
}

/** A line of the account page has the name of a token or a machine in its place. */
function imageOf({ repository, tag, digest, scope, label }: StoredAuditLine): string {
  if (repository === undefined) return scope ?? label ?? '';
  if (tag !== undefined) return `${repository}:${tag}`;
  return digest === undefined ? repository : `${repository}@${digest.slice(0, 19)}…`;
}
