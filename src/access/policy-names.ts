import type { Fault } from '../platform/fault.ts';
import { didYouMean, nearest } from '../platform/nearest.ts';
import { withoutHostBits } from '../platform/network.ts';
import { propertyOf } from '../platform/object-properties.ts';
import { openYaml } from '../platform/yaml/yaml-schema.ts';
import { DOCKER_HUB, type HostedNamespaces } from '../registry/repository.ts';
import { OFFICIAL_IMAGES } from './official-images.ts';
import { compilePattern, matchesPattern } from './pattern.ts';
import { canonicalPattern, isHostedPattern } from './pattern-text.ts';
import type { PolicySource } from './policy-file.ts';
import { isName } from './subject.ts';

/** The names that exist, as far as this process knows them. */
export interface NameContext {
  /** The users and services. */
  readonly users: ReadonlySet<string>;
  readonly upstreams: ReadonlySet<string>;
  /** The hosted namespaces. */
  readonly hosted?: HostedNamespaces | undefined;
  /** The names of this mirror. */
  readonly mirror: ReadonlySet<string>;
  /** The canonical names of repositories that were pulled. Other repositories may exist. */
  readonly repositories: ReadonlySet<string>;
}

interface AllNames extends NameContext {
  /** The repositories that an allow names in full. */
  readonly named: ReadonlySet<string>;
}

type NamePath = readonly PropertyKey[];
type NameKind = 'to' | 'pull' | 'from' | 'upstream';

interface Mention {
  readonly kind: NameKind;
  readonly text: string;
  readonly path: NamePath;
  readonly isDeny: boolean;
}

/**
 * Finds names in a valid policy that most likely are not what its author meant, because nobody and nothing
 * known has them. None of them is certainly wrong, because a user or a repository may come later.
 */
export function lintNames(sources: readonly PolicySource[], known: NameContext): Fault[] {
  const opened = sources.flatMap(({ source, text }) => {
    const read = openYaml(source, text);
    return 'value' in read ? [read.value.yaml] : [];
  });
  const mentions = opened.map(({ data }) => mentionsIn(data));
  const named = new Set(mentions.flat().flatMap(namedByAllow));
  return opened.flatMap((yaml, index) =>
    (mentions[index] ?? []).flatMap((mention): Fault[] => {
      const message = doubt(mention, { ...known, named });
      return message === undefined ? [] : [yaml.faultAt(mention.path, message)];
    }),
  );
}

/** The keys of limits and reserves that contain names. */
const LIMIT_KEYS: readonly (readonly [string, NameKind])[] = [
  ['to', 'to'],
  ['except', 'to'],
  ['for', 'to'],
  ['from', 'from'],
  ['upstream', 'upstream'],
];

function mentionsIn(data: unknown): Mention[] {
  const rules = (['allow', 'deny'] as const).flatMap((effect) =>
    listOf(propertyOf(data, effect)).flatMap((rule, index) =>
      (['to', 'pull', 'from'] as const).flatMap((kind) =>
        textsAt(propertyOf(rule, kind), [effect, index, kind], kind, effect === 'deny'),
      ),
    ),
  );
  const limits = (['limits', 'reserve'] as const).flatMap((list) =>
    listOf(propertyOf(data, list)).flatMap((entry, index) =>
      LIMIT_KEYS.flatMap(([key, kind]) => textsAt(propertyOf(entry, key), [list, index, key], kind, false)),
    ),
  );
  const named = (key: 'groups' | 'sets', kind: NameKind) =>
    Object.entries(Object(propertyOf(data, key))).flatMap(([name, value]) =>
      textsAt(value, [key, name], kind, false),
    );
  return [...named('groups', 'to'), ...named('sets', 'pull'), ...rules, ...limits];
}

function textsAt(value: unknown, path: NamePath, kind: NameKind, isDeny: boolean): Mention[] {
  const mention = (text: unknown, at: NamePath): Mention[] =>
    typeof text === 'string' ? [{ kind, text, path: at, isDeny }] : [];
  return Array.isArray(value)
    ? value.flatMap((text, index) => mention(text, [...path, index]))
    : mention(value, path);
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function doubt(mention: Mention, known: AllNames): string | undefined {
  if (mention.kind === 'to') return doubtUser(mention.text, known);
  if (mention.kind === 'upstream') return doubtUpstream(mention.text, known);
  return mention.kind === 'from' ? doubtNetwork(mention.text) : doubtPattern(mention, known);
}

function doubtUser(text: string, { users }: NameContext): string | undefined {
  const name = text.replace(/^user:/, '');
  if (!isName(name) || users.has(name)) return undefined;
  const meant = didYouMean(name, users);
  const mend = `; add it by: hubgate user add ${name}, with --service for a program`;
  return `"${text}" is not in users.yaml${meant === '' ? mend : meant}`;
}

function doubtUpstream(host: string, { upstreams }: NameContext): string | undefined {
  if (upstreams.has(host)) return undefined;
  const meant = didYouMean(host, upstreams);
  return `"${host}" is no upstream of hubgate.yaml${meant === '' ? '; add it under "upstreams", or remove this' : meant}`;
}

function doubtNetwork(text: string): string | undefined {
  const network = withoutHostBits(text);
  if (network === undefined) return undefined;
  return `"${text}" means all of ${network}; write "${network}", or a longer prefix than /${text.split('/')[1]}`;
}

function doubtPattern({ text, isDeny }: Mention, known: AllNames): string | undefined {
  const canonical = canonicalPattern(text, known.hosted);
  if (!('pattern' in canonical) || isHostedPattern(canonical.pattern)) return undefined;
  const { pattern } = canonical;
  const [host = '', ...segments] = pattern.split('/');
  if (host.includes('*')) return undefined;
  if (!known.upstreams.has(host)) return doubtHost(text, host, segments, known);
  // The name that will replace `${user}` is not known here.
  if (pattern.includes('${user}') || matchesAny(pattern, known.repositories)) return undefined;
  const why = host === DOCKER_HUB ? doubtHubName(text, segments) : undefined;
  const isNamed = matchesAny(pattern, known.named);
  return why ?? (isDeny && !isNamed ? doubtDeny(text, pattern, known) : undefined);
}

function matchesAny(pattern: string, names: ReadonlySet<string>): boolean {
  const compiled = compilePattern(pattern);
  return [...names].some((name) => matchesPattern(compiled, name, undefined));
}

function doubtHost(text: string, host: string, segments: readonly string[], known: NameContext): string {
  const rest = segments.join('/');
  if (known.mirror.has(host) || known.mirror.has(host.replace(/:\d+$/, '')))
    return `"${text}" can match no repository: ${host} is this mirror itself; write "${rest}"`;
  const meant = nearest(host, known.upstreams);
  const mend =
    meant === undefined ? `add it under "upstreams", or remove this` : `did you mean "${meant}/${rest}"?`;
  return `"${text}" can match no repository: ${host} is no upstream of hubgate.yaml; ${mend}`;
}

/** Doubts names without a namespace, because every repository on Docker Hub has a namespace and a name. */
function doubtHubName(text: string, segments: readonly string[]): string | undefined {
  const [namespace = '', name = ''] = segments;
  if (segments.filter((segment) => segment !== '**').length > 2)
    return `"${text}" can match no repository: names on Docker Hub have two parts, such as "${namespace}/${name}"`;
  return segments.length === 2 && /^\*+$/.test(name) && OFFICIAL_IMAGES.has(namespace)
    ? `"${text}" means the namespace "${namespace}"; did you mean the official image "library/${namespace}"?`
    : undefined;
}

/** Doubts a deny that matches nothing, because a typing mistake in a deny leaves a repository open. */
function doubtDeny(text: string, pattern: string, { repositories, named }: AllNames): string | undefined {
  const official = [...OFFICIAL_IMAGES].map((image) => [DOCKER_HUB, 'library', image].join('/'));
  const names = new Set([...repositories, ...named, ...official]);
  if (names.has(pattern)) return undefined;
  const depth = pattern.split('/').findIndex((segment) => segment.includes('*'));
  const length = depth < 0 ? pattern.split('/').length : depth;
  const literal = pattern.split('/').slice(0, length).join('/');
  const known = new Set([...names].map((name) => name.split('/').slice(0, length).join('/')));
  const meant = known.has(literal) ? undefined : nearest(literal, known);
  if (meant === undefined) return undefined;
  const written = meant + pattern.slice(literal.length);
  const isFull = text.split('/')[0] === DOCKER_HUB || meant.split('/')[0] !== DOCKER_HUB;
  const familiar = isFull ? written : written.slice(DOCKER_HUB.length + 1);
  return `"${text}" matches no known repository; did you mean "${familiar}"?`;
}

/** Lists the repositories that an allow names in full, which implies that they exist. */
function namedByAllow({ kind, text, isDeny }: Mention): string[] {
  const canonical = kind === 'pull' && !isDeny ? canonicalPattern(text) : undefined;
  const isLiteral = canonical !== undefined && 'pattern' in canonical && !/[*$]/.test(canonical.pattern);
  return isLiteral ? [canonical.pattern] : [];
}
