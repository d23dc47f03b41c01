/**
 * The reads and changes by which a tag goes from one database of hosted repositories to another one. A tag
 * that an earlier copy has brought, and that nobody has changed in the target since, goes on as it did in the
 * source. A tag that was changed in the target stays.
 */

import type { Digest } from '../../registry/digest.ts';
import type { Tag } from '../../registry/reference.ts';
import { type HostedSelects, type HostedStatements, MOST_TAG_CHANGES } from './hosted-statements.ts';
import type { HostedStep } from './hosted-step.ts';
import type { TagChange } from './tag-history.ts';

export interface TransferredTag {
  /** Undefined if it was deleted. */
  readonly tag: { readonly digest: Digest; readonly set_at: number } | undefined;
  /** Its changes, the newest first. */
  readonly history: readonly TagChange[];
}

export function* readTag(select: HostedSelects, repository: number, name: Tag): HostedStep<TransferredTag> {
  return {
    tag: yield* select.tag.get(repository, name),
    history: yield* select.history.all(repository, name, MOST_TAG_CHANGES),
  };
}

/** `known`: the target has it, or has changed it later. */
type ContinuedTag = 'set' | 'known' | { readonly why: string };

/** Sets a tag in the target, and adds the changes that its history lacks. */
export function* continueTag(
  { select, change }: HostedStatements,
  path: string,
  name: Tag,
  source: TransferredTag,
): HostedStep<ContinuedTag> {
  const id = (yield* select.repository.get(path))?.id;
  // The tags that a repository without manifests once had can never be restored.
  if (id === undefined) return 'known';
  const own = yield* readTag(select, id, name);
  const missing = missingChanges(source, own);
  if (missing === 'none') return 'known';
  const { tag } = source;
  if (missing === 'other') return own.tag?.digest === tag?.digest ? 'known' : { why: whyLeft(own) };
  if (tag === undefined && own.tag !== undefined)
    return { why: `it was deleted at the source, and still means ${own.tag.digest} at the target` };
  if (tag !== undefined) {
    if ((yield* select.manifestHead.get(id, tag.digest)) === undefined)
      return { why: `its manifest ${tag.digest} was just removed; run this again` };
    yield* change.putTag.run(id, name, tag.digest, tag.set_at);
  }
  for (const { digest, previous, at, subject, credential } of missing.toReversed())
    yield* change.addHistory.run(id, name, digest, previous, at, subject, credential);
  return tag === undefined ? 'known' : 'set';
}

/**
 * Returns the changes that the target lacks, the newest first; `none` if the target knows the last one of the
 * source, and `other` if the target has changed the tag itself since the histories were the same.
 */
function missingChanges(
  source: TransferredTag,
  own: TransferredTag,
): readonly TagChange[] | 'none' | 'other' {
  const [newest] = source.history;
  const [ownNewest] = own.history;
  if (newest !== undefined && own.history.some((one) => isSame(one, newest))) return 'none';
  if (ownNewest === undefined) return own.tag === undefined ? source.history : 'other';
  const common = source.history.findIndex((one) => isSame(one, ownNewest));
  return common < 0 ? 'other' : source.history.slice(0, common);
}

function isSame(one: TagChange, other: TagChange): boolean {
  const { at, digest, previous, subject, credential } = one;
  return (
    at === other.at &&
    digest === other.digest &&
    previous === other.previous &&
    subject === other.subject &&
    credential === other.credential
  );
}

function whyLeft({ tag }: TransferredTag): string {
  return tag === undefined
    ? 'it was deleted at the target, and stays so'
    : `it means ${tag.digest} at the target, and stays so`;
}
