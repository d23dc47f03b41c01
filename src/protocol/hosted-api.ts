/**
 * The messages between a gateway and the core about hosted repositories.
 *
 * Reads are pulls (`core-api.ts`): `GET /pull/…` with `hosted` as the upstream and the path of the repository
 * (`acme-internal/app`). The core answers them as it answers those of a mirrored repository. No answer has a
 * max age, so that the next request after a push or a delete sees it. A blob has a `BlobLocation` of the kind
 * `hosted-file`, which is relative to the directory of the hosted repositories. `GET
 * /pull/referrers/<digest>?artifactType=…` is filtered, and says so in `oci-filters-applied`; its next page
 * is in `hubgate-next`, as that of a list of tags is.
 *
 * Writes have the resource of the distribution API after `HOSTED_PATH`, with its method, its query and its
 * body. The name of the repository is not in the path:
 *
 *     POST                  /hosted/blobs/uploads/[?digest=…|?mount=…][&digest-algorithm=…]
 *     GET PATCH PUT DELETE  /hosted/blobs/uploads/<id>[?digest=…]
 *     DELETE                /hosted/blobs/<digest>
 *     PUT DELETE            /hosted/manifests/<reference>[?tag=…&tag=…]
 *
 * The gateway has authorized the action, and every tag in the path and in the query. It sends the headers
 * `hubgate-upstream` and `hubgate-path` of `CORE_HEADERS`, those of `HOSTED_REQUEST_HEADERS`, and the
 * client's own `WRITE_BODY_HEADERS`. It streams the body, and it ends the request if the right to push is
 * revoked: a body that does not come to its end publishes nothing. `hubgate-caller` is that of pulls; the
 * core joins the requests of one push by it.
 *
 * An answer has the status and the body that the client gets, and of its headers `WRITE_ANSWER_HEADERS`. The
 * place of an upload or of content is in `hubgate-location`: a resource below the repository, such as
 * `blobs/uploads/<id>`. The gateway puts `/v2/` and the familiar name of the repository before it. A refusal
 * has its name of `ERRORS` in `hubgate-error` and a body with its words.
 */

import { z } from 'zod';

/** The prefix of the resource in the target of a write. */
export const HOSTED_PATH = '/hosted/';

/** The headers of the client's request that the core gets. They describe its body. */
export const WRITE_BODY_HEADERS = ['content-length', 'content-type', 'content-range'] as const;

/** The headers of an answer that the client gets, besides the length of the body. */
export const WRITE_ANSWER_HEADERS = [
  'content-type',
  'docker-content-digest',
  'docker-upload-uuid',
  'oci-subject',
  'oci-tag',
  'range',
  'retry-after',
] as const;

/** The headers in which the gateway describes a write, besides its repository. */
export const HOSTED_REQUEST_HEADERS = {
  /**
   * An opaque text in a request that is the same for all requests of one subject. An upload belongs to it:
   * for every other subject the upload does not exist.
   */
  subjectKey: 'hubgate-subject-key',
  /** The name of the subject and the id of its credential, for the history of tags. Both are URI-encoded. */
  subject: 'hubgate-subject',
  credential: 'hubgate-credential',
  /**
   * The repository named by `from` of a mount, if the caller may pull it: `<upstream> <path> <read access>`,
   * as in `hosted acme-internal/base public`. If it is absent, the core begins an upload instead.
   */
  mountFrom: 'hubgate-mount-from',
} as const;

/** The headers of an answer that are for the gateway. The client gets none of them. */
export const HOSTED_ANSWER_HEADERS = {
  /** The resource that becomes the `Location` of the answer. */
  location: 'hubgate-location',
  /** The digest that a tag named before a PUT, for the audit line. */
  previous: 'hubgate-previous',
  /** The id that all requests of one push share, for the audit line. */
  push: 'hubgate-push',
  /** The size in bytes of the blob or manifest that was published, for the audit line. */
  size: 'hubgate-size',
} as const;

/** `GET /hosted-repositories` returns what is hosted. */
export const HOSTED_REPOSITORIES = z.object({
  /** The reason why hosted names are refused; null if they are not. */
  failure: z.string().nullable(),
  uploads: z.int(),
  namespaces: z.array(z.object({ name: z.string(), bytes: z.int(), quota: z.int().nullable() })),
  repositories: z.array(z.object({ path: z.string(), bytes: z.int(), tags: z.int() })),
});
export type HostedRepositories = Readonly<z.output<typeof HOSTED_REPOSITORIES>>;

/** `GET /hosted-repositories/tags?repository=…` returns the tags, the latest first. */
export const HOSTED_TAGS = z.array(z.object({ tag: z.string(), digest: z.string(), setAt: z.int() }));
export type HostedTags = Readonly<z.output<typeof HOSTED_TAGS>>;

/** `GET /hosted-repositories/history?repository=…&tag=…` returns the changes of a tag, the newest first. */
export const TAG_HISTORY = z.array(
  z.object({
    at: z.int(),
    /** The manifest that the tag named from then on; null if it was deleted. */
    digest: z.string().nullable(),
    /** The manifest that it named before; null if it was new. */
    previous: z.string().nullable(),
    subject: z.string(),
    credential: z.string(),
  }),
);

/** `POST /hosted-repositories/restore-tag` undoes the last change of a tag. */
export const RESTORE_TAG = z.strictObject({ repository: z.string(), tag: z.string() });
export const RESTORED_TAG = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('restored'), digest: z.string(), previous: z.string().nullable() }),
  /** There is no such tag, or it has not been changed. */
  z.object({ kind: z.literal('unchanged') }),
  /** The manifest that it meant before has been removed. */
  z.object({ kind: z.literal('gone'), digest: z.string() }),
]);

/** `POST /hosted-repositories/delete` removes a tag, or a digest with its tags. */
export const DELETE_HOSTED = z.strictObject({
  repository: z.string(),
  reference: z.string(),
  force: z.boolean(),
});
export const DELETED_HOSTED = z.discriminatedUnion('kind', [
  /** `previous` is what a removed tag meant; null if a digest was removed. */
  z.object({ kind: z.literal('removed'), previous: z.string().nullable() }),
  z.object({ kind: z.literal('unknown') }),
  z.object({ kind: z.literal('refused'), why: z.string() }),
]);

/** `POST /hosted-repositories/collect` removes what nothing needs, or only says what it would do. */
export const COLLECT = z.strictObject({ dryRun: z.boolean() });
export const COLLECTED = z.array(
  z.object({
    repository: z.string(),
    tag: z.string().nullable(),
    digest: z.string(),
    action: z.enum(['keep', 'wait', 'remove-tag', 'remove-blob', 'remove-manifest', 'remove-file']),
    why: z.string(),
    /** The time in milliseconds since the epoch at which it is judged again, for `wait`. */
    until: z.int().nullable(),
  }),
);
export type CollectedContent = Readonly<z.output<typeof COLLECTED>[number]>;

/**
 * `POST /hosted-repositories/removals` returns what retention and the collection have removed, for the audit
 * log. `written` is the id of the last one that the caller has written there; the core forgets all up to it.
 */
export const FETCH_REMOVALS = z.strictObject({ written: z.int().nullable() });
export const FETCHED_REMOVALS = z.array(
  z.object({
    id: z.int(),
    /** The path of the repository; null for a file that no repository names. */
    repository: z.string().nullable(),
    tag: z.string().nullable(),
    digest: z.string(),
    /** `retention` or `collection`. */
    credential: z.string(),
    reason: z.string(),
  }),
);
export type FetchedRemovals = readonly Readonly<z.output<typeof FETCHED_REMOVALS>[number]>[];

/** `POST /hosted-repositories/verify` reads everything that is hosted, and returns what is damaged. */
export const VERIFIED_HOSTED = z.object({
  blobs: z.int(),
  manifests: z.int(),
  damages: z.array(z.object({ repository: z.string(), reference: z.string(), problem: z.string() })),
});
export type VerifiedHosted = Readonly<z.output<typeof VERIFIED_HOSTED>>;

/**
 * `POST /hosted-repositories/backup` copies what is hosted into a new or empty directory. A blob without its
 * file makes it fail, or is left out.
 */
export const BACKUP_HOSTED = z.strictObject({
  directory: z.string(),
  missing: z.enum(['fail', 'leave']).default('fail'),
});
export const BACKED_UP_HOSTED = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('done'), blobs: z.int(), linked: z.int() }),
  z.object({ kind: z.literal('refused'), why: z.string() }),
]);
