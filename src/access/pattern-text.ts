import {
  canonicalHost,
  DOCKER_HUB,
  looksLikeHost,
  parseUpstreamHost,
  repositoryAt,
  type UpstreamHost,
} from '../registry/repository.ts';

/** A pattern as it is compiled, or why it can match nothing. */
export type PatternText = { readonly pattern: string } | { readonly wrong: string };

/**
 * A written pattern of repositories, over canonical names. Without a host it means Docker Hub, and one segment alone an
 * official image there, both as in `docker pull`.
 */
export function canonicalPattern(text: string): PatternText {
  if (text === 'everything') return { pattern: '**' };
  if (text.includes('@')) return { wrong: `"${text}" holds a digest; a rule is about whole repositories` };
  const [, name = text, tag] = /^(.+):([^:/]*)$/.exec(text) ?? [];
  if (tag !== undefined && (name.includes('/') || !/^\d+$/.test(tag)))
    return { wrong: `"${text}" holds a tag; write pull: "${name}", tags: "${tag}"` };
  const outside = /[^a-z0-9._/:*-]/.exec(text.replaceAll('${user}', ''))?.[0];
  if (outside !== undefined) {
    return {
      wrong: `"${text}" can match no repository: names have no "${outside}"; wildcards are *, ** and \${user}`,
    };
  }
  const segments = text.split('/');
  if (segments.includes(''))
    return { wrong: `"${text}" can match no repository: a slash stands between two segments` };
  const [first = ''] = segments;
  if (segments.length === 1 || !looksLikeHost(first)) return patternAt(DOCKER_HUB, text, segments);
  const host = parseUpstreamHost(first);
  if (host === undefined) return { wrong: `"${first}" is no host; a host is written in full` };
  return patternAt(canonicalHost(host), text, segments.slice(1));
}

function patternAt(host: UpstreamHost, text: string, segments: readonly string[]): PatternText {
  const [only = '', ...more] = segments;
  const path = segments.join('/');
  if (!isPossible(host, path)) {
    return {
      wrong: `"${text}" can match no repository: letters and digits begin and end each part of a name, and . _ __ - separate them`,
    };
  }
  if (host !== DOCKER_HUB || more.length > 0 || only === '**') return { pattern: `${host}/${path}` };
  if (only === '*' || only.includes('**')) {
    const mend = 'write library/* for official images, everything for all';
    return { wrong: `"${text}" is one segment, and so would mean official images only; ${mend}` };
  }
  return { pattern: `${host}/library/${only}` };
}

/** A letter is what a wildcard can stand for with the least offence. */
function isPossible(host: UpstreamHost, path: string): boolean {
  return repositoryAt(host, path.replaceAll('${user}', 'a').replaceAll(/\*+/g, 'a')) !== undefined;
}

/** A written pattern of tags; a slash is in none, so `*` and `**` are the same. */
export function tagPattern(text: string): PatternText {
  return /^[A-Za-z0-9_*][A-Za-z0-9._*-]{0,127}$/.test(text)
    ? { pattern: text }
    : { wrong: `"${text}" can match no tag: tags are letters, digits and ._- only; the wildcard is *` };
}
