import { z } from 'zod';
import { exceededBound } from '../../platform/json-bounds.ts';
import { runInSlices } from '../../platform/scheduling/time-slicing.ts';
import { parseTag, type Tag } from '../../registry/reference.ts';
import type { AccessDecision } from '../authorization/authorize.ts';
import { TAG_LIST_BOUNDS } from '../limits.ts';

const LIST = z.object({ name: z.string().optional(), tags: z.array(z.string()).nullable() });

export interface TagRules {
  readonly authorizeTag: (tag: Tag) => AccessDecision;
  /** True if the list was read with access to private content. */
  readonly reachesPrivate: boolean;
  /** Resolves to true if the list can be read without access to private content. */
  readonly isPublic: () => Promise<boolean>;
}

/**
 * Returns a list of tags without those that the caller may not pull; undefined if the input is not a list of
 * tags.
 */
export async function permittedTags(
  list: Buffer,
  { authorizeTag, reachesPrivate, isPublic }: TagRules,
): Promise<Buffer | undefined> {
  const read = LIST.safeParse(parsed(list));
  if (!read.success) return undefined;
  const { name } = read.data;
  const permitted = await runInSlices(permittedOf(read.data.tags ?? [], authorizeTag));
  // A rule for one tag can allow private content that the rule for another tag does not.
  const all = !reachesPrivate || permitted.every((one) => one.private) || (await isPublic());
  const tags = permitted.filter((one) => all || one.private).map(({ tag }) => tag);
  return Buffer.from(JSON.stringify({ name, tags }));
}

interface PermittedTag {
  readonly tag: Tag;
  readonly private: boolean;
}

/** The filter works in steps, because decisions about 200,000 tags at once would delay all other requests. */
function* permittedOf(
  tags: readonly string[],
  authorizeTag: TagRules['authorizeTag'],
): Generator<void, PermittedTag[]> {
  const permitted: PermittedTag[] = [];
  for (const text of tags) {
    const tag = parseTag(text);
    const decision = tag === undefined ? undefined : authorizeTag(tag);
    if (tag !== undefined && decision?.kind === 'granted') permitted.push({ tag, private: decision.private });
    yield;
  }
  return permitted;
}

function parsed(list: Buffer): unknown {
  if (exceededBound(list, TAG_LIST_BOUNDS) !== undefined) return undefined;
  try {
    return JSON.parse(list.toString());
  } catch {
    return undefined;
  }
}
