import { type Digest, parseDigest } from './digest.ts';
import { parseTag, type Tag } from './reference.ts';
import { type Repository, resolveRepository, type UpstreamNames } from './repository.ts';

/** An image in the form that people write after `docker pull`. */
export interface Image {
  readonly repository: Repository;
  /** Absent if no tag is written, or if there is a digest. */
  readonly tag?: Tag;
  readonly digest?: Digest;
}

/** Every host counts as an upstream, for callers that have no configuration. */
export const ANY_NAMES: UpstreamNames = { upstreams: { has: () => true }, self: new Set() };

/**
 * Parses `repository`, `repository:tag` or `repository@digest`. A colon before a slash belongs to a host's
 * port.
 */
export function parseImage(text: string, names: UpstreamNames = ANY_NAMES): Image | undefined {
  const [, name = text, digest] = /^([^@]+)@(.+)$/.exec(text) ?? [];
  const pinned = digest === undefined ? undefined : parseDigest(digest);
  if (digest !== undefined && pinned === undefined) return undefined;
  const colon = name.lastIndexOf(':');
  const isTagged = colon > 0 && colon < name.length - 1 && !name.includes('/', colon);
  const [path, written] = isTagged ? [name.slice(0, colon), name.slice(colon + 1)] : [name];
  const repository = resolveRepository(path, [], names);
  const tag = written === undefined ? undefined : parseTag(written);
  if (repository === undefined || (written !== undefined && tag === undefined)) return undefined;
  if (pinned !== undefined) return { repository, digest: pinned };
  return { repository, ...(tag !== undefined && { tag }) };
}
