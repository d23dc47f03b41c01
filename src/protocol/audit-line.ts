/**
 * The lines of the audit log: gateways write them, and the commands and metrics read them. A line has only
 * named fields, so that no header, body or credential can get into it. Lines of earlier versions stay
 * readable, so a field that they lack is optional, and unknown fields are ignored.
 */
import { z } from 'zod';
import { AUDITED_ACTIONS } from '../registry/action.ts';

const FIELDS = {
  /**
   * An action of the distribution API: `pull` is a request for a manifest or a blob, `push` and `delete`
   * write to a hosted repository, `mount` takes a blob from another repository into one, and `promote` takes
   * an image. `tags`, `referrers` and `catalog` are requests for such a list; `token` is a request for a
   * token of ours. The others are those of the account page.
   */
  action: z.enum(AUDITED_ACTIONS),
  /** The id that all requests of one pull share. Absent if the core was not asked. */
  pull: z.string().optional(),
  /** The id that all requests of one push share. Absent if the core was not asked. */
  push: z.string().optional(),
  /**
   * The subject as the policy names it. It is also `anonymous` for a client that presented nothing valid, and
   * `operator` for a command on the mirror's own machine, and `hubgate` for what it removes by its own rules.
   */
  subject: z.string(),
  /** The id of the presented credential. */
  credential: z.string().optional(),
  /** The client's address, as the gateway determined it; `local` for a command and for Hubgate itself. */
  address: z.string(),
  agent: z.string().optional(),
  method: z.string().optional(),
  repository: z.string().optional(),
  /** The requested tag. */
  tag: z.string().optional(),
  /** The requested digest, or the digest that the tag resolved to. */
  digest: z.string().optional(),
  /** The digest that the tag meant before a push, a promotion or a delete. */
  previous: z.string().optional(),
  /** The id of the upload to a hosted repository. */
  upload: z.string().optional(),
  /** The bytes of the blob or manifest that was published; of a refused one, what its sender announced. */
  size: z.int().optional(),
  /** The repository from which a blob was mounted, or the image that was promoted. */
  from: z.string().optional(),
  /** The directory at which somebody has logged in; absent if they are in the users file. */
  login: z.string().optional(),
  /** The id of the token that its owner made or revoked. */
  token: z.string().optional(),
  /** The name of that token, or of the machine that somebody approved or refused. */
  label: z.string().optional(),
  /** The bounds of a new token: what it may pull and push, and from where. Absent if it has none. */
  restriction: z.string().optional(),
  /**
   * The reason why retention or the collection has removed content, why a login or a logout was refused, or
   * why a request was refused to a limited token.
   */
  reason: z.string().optional(),
  /** The granted scope of a token. */
  scope: z.string().optional(),
  rule: z.string().optional(),
  decision: z.enum(['allow', 'deny']),
  status: z.int(),
  bytes: z.int().optional(),
  /**
   * The way in which the core found the answer: `hit`, `revalidated`, `fill`, `joined` or `stale`; `bypass`
   * for an external core.
   */
  cache: z.string().optional(),
  /**
   * The requests that the core sent to upstreams for this request alone, including those for tokens and to
   * redirect targets. Absent if no core was asked, or if the core does not report them.
   */
  upstreamRequests: z.int().optional(),
  /** The pulls among them that a quota counts. Absent in the same cases. */
  countedPulls: z.int().optional(),
  /** The account that the core used at the upstream, if the upstream has several. */
  account: z.string().optional(),
  /**
   * The kind of bound that refused the pull: the id of a limit or a reserve of the policy; `share` if the
   * subject has used its fair share of a short quota; `upstream` if the upstream itself refuses.
   */
  limit: z.string().optional(),
  /**
   * The reason why the answer is an earlier manifest of the tag: `limit:` or `reserve:` with its id, or
   * `share`.
   */
  held: z.string().optional(),
  milliseconds: z.number().optional(),
};

/** The fields that the log adds to each line. */
const ADDED = {
  /** The time at which the line was made, by ISO 8601. */
  time: z.string(),
  /** The name of the node whose gateway wrote the line. Absent if the home is no node of a cluster. */
  node: z.string().optional(),
};

const AUDIT_FIELDS = z.object(FIELDS);
const AUDIT_LINE = AUDIT_FIELDS.extend(ADDED);

/** One decided request, as a gateway records it. The log adds the rest. */
export type AuditLine = Readonly<
  z.output<typeof AUDIT_FIELDS> & { readonly method: string; readonly milliseconds: number }
>;
/** One decided request, as the log has it. */
export type StoredAuditLine = Readonly<z.output<typeof AUDIT_LINE>>;

const COUNT_FIELDS = z.object({
  /**
   * `omitted`: refusals of anonymous clients without a line of their own. `lost`: lines that found no room.
   */
  action: z.enum(['omitted', 'lost']),
  /** The address of the clients; absent if it is not counted by itself, and if lines were lost. */
  address: z.string().optional(),
  /** The subject and the decision of the missing lines, if they are the same for all. */
  subject: z.string().optional(),
  decision: z.enum(['allow', 'deny']).optional(),
  count: z.int(),
  /** The time of the first missing line. */
  since: z.string(),
});
const AUDIT_COUNT = COUNT_FIELDS.extend(ADDED);

/** The number of missing lines, in the place of these lines. */
export type AuditCount = Readonly<z.output<typeof COUNT_FIELDS>>;
export type StoredAuditCount = Readonly<z.output<typeof AUDIT_COUNT>>;

const STORED = z.discriminatedUnion('action', [AUDIT_LINE, AUDIT_COUNT]);

/** Returns undefined for a line that a crash has cut, and for one that records something else. */
export function parseAuditLine(text: string): StoredAuditLine | StoredAuditCount | undefined {
  try {
    return STORED.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

export function isAuditCount(stored: StoredAuditLine | StoredAuditCount): stored is StoredAuditCount {
  return stored.action === 'omitted' || stored.action === 'lost';
}
