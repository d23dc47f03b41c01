/** A namespace of hosted repositories, and what applies to all repositories below its name. */
export interface NamespaceRules {
  /** The first segments of the names, such as `acme-internal`. */
  readonly name: string;
  /** The most bytes of all its repositories together. Absent if there is no limit. */
  readonly quota?: number;
  /** The patterns of tags that cannot be moved or deleted; those with `!` before them are exceptions. */
  readonly immutableTags: readonly string[];
  readonly retention?: RetentionRules;
}

/** The content that is removed without being asked. All times are in milliseconds. */
export interface RetentionRules {
  /** The age after which a manifest without a tag is removed. */
  readonly untaggedAfter?: number;
  /** The number of the newest tags of a repository that stay. */
  readonly keepLast?: number;
  /** The patterns of the tags that may be removed. Absent: every tag may. */
  readonly tags?: readonly string[];
  /** The time after which a tag that nobody has pulled or pushed is removed. */
  readonly unusedFor?: number;
}

/** Returns the namespace of a repository. */
export function namespaceOf(
  repository: string,
  namespaces: readonly NamespaceRules[],
): NamespaceRules | undefined {
  return namespaces.find(({ name }) => repository.startsWith(`${name}/`));
}
