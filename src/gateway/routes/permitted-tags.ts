import { parseTag, type Tag } from '../../registry/reference.ts';
import type { Permission } from '../permission/permit.ts';

export interface TagRules {
  readonly permitTag: (tag: Tag) => Permission;
  /** Was the list read by a grant that reaches private content? */
  readonly reachesPrivate: boolean;
  /** Can it be read without? */
  readonly isPublic: () => Promise<boolean>;
}

/** A list of tags without those that the caller may not pull. What is no list of tags names none. */
export async function permittedTags(
  list: Buffer,
  { permitTag, reachesPrivate, isPublic }: TagRules,
): Promise<Buffer> {
  const { name, tags } = JSON.parse(list.toString()) as { name?: unknown; tags?: unknown };
  const permitted = (Array.isArray(tags) ? tags : []).flatMap((text) => {
    const tag = typeof text === 'string' ? parseTag(text) : undefined;
    const permission = tag && permitTag(tag);
    return permission?.kind === 'granted' ? [{ tag, private: permission.private }] : [];
  });
  // A rule of its own can reach further for one tag than for another.
  const all = !reachesPrivate || permitted.every((one) => one.private) || (await isPublic());
  const shown = permitted.filter((one) => all || one.private).map(({ tag }) => tag);
  return Buffer.from(JSON.stringify({ name, tags: shown }));
}
