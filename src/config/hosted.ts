import { z } from 'zod';
import { oneOrMany, type PartReader, section } from '../platform/yaml/yaml-schema.ts';
import { HOSTED, type HostedNamespaces, looksLikeHost, repositoryAt } from '../registry/repository.ts';
import { optional } from './schema.ts';
import { BOOLEAN, duration, SIZE, wholeNumber } from './values.ts';

/** The hosted repositories: the content that is pushed here and that no upstream has. */
export interface HostedConfig {
  /** The directory of the content, as an absolute path. */
  readonly directory: string;
  readonly namespaces: readonly HostedNamespace[];
}

/** All repositories whose names begin with the same segments, and their limits. */
export interface HostedNamespace {
  /** The segments, such as `acme-internal`. */
  readonly name: string;
  /** The most bytes. Absent: the disk is the only limit. */
  readonly quota?: number;
  /** Patterns of tags that are never moved. A pattern that begins with `!` makes exceptions. */
  readonly immutableTags: readonly string[];
  readonly retention?: Retention;
  /**
   * True if an upstream may have repositories of the same names, which clients then reach only with its host.
   */
  readonly shadow: boolean;
}

/** The content that is removed by itself. A time is in milliseconds. */
export interface Retention {
  /** Content without a tag is removed after this time. */
  readonly untaggedAfter?: number;
  /** This number of newest tags of a repository is never removed. */
  readonly keepLast?: number;
  /** Only tags that match one of these patterns are removed. Absent: every tag. */
  readonly tags?: readonly string[];
  /** A tag that nobody has pulled or pushed for this time is removed. */
  readonly unusedFor?: number;
}

const A_TAG_PATTERN = 'a pattern of tags, such as "v*", "!latest" or "*"';
const TAG_PATTERN = /^!?[A-Za-z0-9_*][A-Za-z0-9._*-]{0,127}$/;
const A_RETAINED_TAG = 'a pattern of tags, such as "pr-*"';

export const HOSTED_KEYS = {
  directory: optional(
    z.string('a path').min(1, 'a path'),
    '`hosted`',
    'The directory of the content and its database. Nothing is ever evicted from it. Back it up, see [hosted.md](hosted.md#backup).',
  ),
};

export const NAMESPACE_KEYS = {
  quota: optional(
    SIZE,
    'the disk',
    'The most bytes that the namespace may use. A push beyond it is refused.',
  ),
  immutableTags: optional(
    oneOrMany(z.string(A_TAG_PATTERN).regex(TAG_PATTERN, A_TAG_PATTERN)),
    'none',
    'Tags that cannot be moved or replaced. `!` makes exceptions, as in `["*", "!latest"]`. Tags that begin with `sha256-` can always be moved, because signatures need that.',
  ),
  retention: optional(
    section({
      untaggedAfter: duration().optional().describe('Manifests without a tag go after this time.'),
      keepLast: wholeNumber(1, 100_000, 'a number of tags from 1 to 100000')
        .optional()
        .describe('So many of the newest tags of a repository stay.'),
      tags: oneOrMany(z.string(A_RETAINED_TAG).regex(/^[A-Za-z0-9_*][A-Za-z0-9._*-]{0,127}$/, A_RETAINED_TAG))
        .optional()
        .describe('Only these tags go.'),
      unusedFor: duration().optional().describe('Tags that nobody has used for this time go.'),
    }),
    'everything stays',
    'What Hubgate removes by itself: `untaggedAfter`, `keepLast`, `tags` and `unusedFor`. See [hosted.md](hosted.md#retention).',
  ),
  shadow: optional(
    BOOLEAN,
    '`false`',
    '`true` accepts that Docker Hub has repositories of the same names. Clients reach those only as `docker.io/…`.',
  ),
};

const NAMESPACES = z.record(z.string(), z.unknown(), 'a map of namespaces, such as "acme-internal/**"');
const HOSTED_SECTION = section(
  { ...HOSTED_KEYS, namespaces: NAMESPACES.optional() },
  {
    namespace: 'namespaces',
    repositories: 'namespaces',
    path: 'directory',
    quota: 'quota belongs to a namespace',
  },
);
const NAMESPACE = section(NAMESPACE_KEYS, {
  size: 'quota',
  maxSize: 'quota',
  immutable: 'immutableTags',
  keep: 'retention',
});

/** Reads the section `hosted`. Returns undefined if nothing is hosted. */
export function readHosted(
  parts: PartReader,
  { externalCore, at }: { readonly externalCore: boolean; readonly at: (file: string) => string },
): HostedConfig | undefined {
  const given = parts.read(['hosted'], HOSTED_SECTION.nullish());
  if (given == null) return undefined;
  if (externalCore)
    parts.fault(
      ['hosted'],
      'the registry at core.url cannot host repositories; remove this section, or core.url',
      'key',
    );
  const patterns = Object.keys(given.namespaces ?? {});
  if (patterns.length === 0)
    parts.fault(
      ['hosted'],
      'nothing is hosted without namespaces; write namespaces: { "acme-internal/**": {} }',
      'key',
    );
  const namespaces = patterns.flatMap((pattern) => readNamespace(parts, pattern) ?? []);
  refuseOverlaps(parts, namespaces);
  return { directory: at(given.directory ?? HOSTED), namespaces };
}

function readNamespace(parts: PartReader, pattern: string): HostedNamespace | undefined {
  const path = ['hosted', 'namespaces', pattern];
  const why = whyNoNamespace(pattern);
  if (why !== undefined) parts.fault(path, `"${pattern}" cannot be hosted: ${why}`, 'key');
  const given = parts.read(path, NAMESPACE.nullish()) ?? {};
  if (why !== undefined) return undefined;
  const { quota, immutableTags = [], retention, shadow = false } = given;
  const wanted = retention && withoutAbsent(retention);
  return {
    name: pattern.slice(0, -END.length),
    ...(quota !== undefined && { quota }),
    immutableTags,
    ...(wanted && { retention: wanted }),
    shadow,
  };
}

function withoutAbsent({
  untaggedAfter,
  keepLast,
  tags,
  unusedFor,
}: NonNullable<z.output<typeof NAMESPACE>['retention']>): Retention {
  return {
    ...(untaggedAfter !== undefined && { untaggedAfter }),
    ...(keepLast !== undefined && { keepLast }),
    ...(tags !== undefined && { tags }),
    ...(unusedFor !== undefined && { unusedFor }),
  };
}

const END = '/**';

/** Returns why a pattern is no namespace, and what to write instead. */
function whyNoNamespace(pattern: string): string | undefined {
  const [first = '', ...others] = pattern.split('/');
  if (first.includes('*'))
    return 'it would take names of Docker Hub too; write a namespace such as "acme-internal/**"';
  if (others.length > 0 && looksLikeHost(first))
    return `${first} is a host, and clients write hosted names without one; write ${suggested(others)}`;
  if (first === 'library') return 'library/** are the official images of Docker Hub';
  const segments = pattern.endsWith(END) ? pattern.slice(0, -END.length).split('/') : undefined;
  if (segments === undefined)
    return `a namespace is everything below a name; write ${suggested([first, ...others])}`;
  if (segments.some((segment) => segment.includes('*')))
    return `only its end is a wildcard; write ${suggested(segments)}`;
  return repositoryAt(HOSTED, `${segments.join('/')}/a`) === undefined
    ? 'names are letters and digits in lower case, separated by . _ __ or -'
    : undefined;
}

/** Writes the namespace of the segments before the first wildcard. */
function suggested(segments: readonly string[]): string {
  const wild = segments.findIndex((segment) => segment.includes('*'));
  const literal = (wild < 0 ? segments : segments.slice(0, wild)).filter((segment) => segment !== '');
  return literal.length === 0 ? 'one such as "acme-internal/**"' : `"${literal.join('/')}${END}"`;
}

/** A repository in two namespaces would have two quotas. */
function refuseOverlaps(parts: PartReader, namespaces: readonly HostedNamespace[]): void {
  for (const { name } of namespaces) {
    const wider = namespaces.find((other) => name.startsWith(`${other.name}/`));
    if (wider !== undefined)
      parts.fault(
        ['hosted', 'namespaces', `${name}${END}`],
        `"${name}${END}" is a part of "${wider.name}${END}"; remove one of them`,
        'key',
      );
  }
}

/** Returns the names of the namespaces, as the parser of names needs them. Undefined if nothing is hosted. */
export function hostedNames(hosted: HostedConfig | undefined): HostedNamespaces | undefined {
  return hosted && new Set(hosted.namespaces.map(({ name }) => name));
}
