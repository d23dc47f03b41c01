import { z } from 'zod';
import { parseTag, type Tag } from '../../registry/reference.ts';
import type { Permission } from '../permission/permit.ts';

const LIST = z.object({ name: z.string().optional(), tags: z.array(z.string()).nullable() });

export interface TagRules {
  readonly permitTag: (tag: Tag) => Permission;
  /** Was the list read by a grant that reaches private content? */
  readonly reachesPrivate: boolean;
  /** Can it be read without? */
  readonly isPublic: () => Promise<boolean>;
}

/** A list of tags without those that the caller may not pull; undefined if it is not a list of tags. */
export async function permittedTags(
  list: Buffer,
  { permitTag, reachesPrivate, isPublic }: TagRules,
): Promise<Buffer | undefined> {
  const read = LIST.safeParse(parsed(list));
  if (!read.success) return undefined;
  const { name, tags } = read.data;
  const permitted = (tags ?? []).flatMap((text) => {
    const tag = parseTag(text);
    const permission = tag && permitTag(tag);
    return permission?.kind === 'granted' ? [{ tag, private: permission.private }] : [];
  });
  // A rule of its own can reach further for one tag than for another.
  const all = !reachesPrivate || permitted.every((one) => one.private) || (await isPublic());
  const shown = permitted.filter((one) => all || one.private).map(({ tag }) => tag);
  return Buffer.from(JSON.stringify({ name, tags: shown }));
}

function parsed(list: Buffer): unknown {
  try {
    return JSON.parse(list.toString());
  } catch {
    return undefined;
  }
}
