import type { Action } from '../registry/action.ts';
import {
  canonicalHost,
  DOCKER_HUB,
  HOSTED,
  type HostedNamespaces,
  looksLikeHost,
  parseUpstreamHost,
  repositoryAt,
  type UpstreamHost,
} from '../registry/repository.ts';

/** A pattern that can be compiled, or the reason why it can match nothing. */
export type PatternText = { readonly pattern: string } | { readonly wrong: string };

/**
 * Converts a written pattern into one over canonical names. As in `docker pull`, a pattern without a host
 * means Docker Hub, and a single segment means an official image there. A pattern that begins with a hosted
 * namespace means hosted repositories.
 */
export function canonicalPattern(
  text: string,
  hosted?: HostedNamespaces,
  action: Action = 'pull',
): PatternText {
  if (text === 'everything') return { pattern: '**' };
  if (MEANS_EVERYTHING.has(text))
    return { wrong: `"${text}" would mean the official image library/${text}; write everything` };
  const scheme = /^[a-z+]{2,10}:\/\//i.exec(text)?.[0];
  if (scheme !== undefined)
    return {
      wrong: `"${text}" begins with "${scheme}"${suggestion(text, text.slice(scheme.length), '; write it without')}`,
    };
  const [image = text, ...digest] = text.split('@');
  if (digest.length > 0)
    return { wrong: `"${text}" holds a digest, and a rule is about whole repositories; write "${image}"` };
  const [, name = text, tag] = /^(.+):([^:/]*)$/.exec(text) ?? [];
  if (tag !== undefined && (name.includes('/') || !/^\d+$/.test(tag)))
    return { wrong: `"${text}" holds a tag; write ${action}: "${name}", tags: "${tag}"` };
  const wrong = whyOutside(text) ?? whySlashes(text);
  if (wrong !== undefined) return { wrong: `"${text}" can match no repository: ${wrong}` };
  const segments = text.split('/');
  const [first = ''] = segments;
  if (segments.length === 1 || !looksLikeHost(first))
    return patternAt(isInNamespace(text, hosted) ? HOSTED : DOCKER_HUB, text, segments);
  const host = parseUpstreamHost(first);
  if (host === undefined) return { wrong: `"${first}" is no host; a host is written in full` };
  return patternAt(canonicalHost(host), text, segments.slice(1));
}

/** Converts a pattern of a rule that is about writing, so that it can only mean hosted repositories. */
export function hostedPattern(
  text: string,
  hosted: HostedNamespaces = new Set(),
  action: Action = 'push',
): PatternText {
  const canonical = canonicalPattern(text, hosted, action);
  if ('wrong' in canonical || isHostedPattern(canonical.pattern)) return canonical;
  return { wrong: `"${text}" is not hosted, and only what is hosted can be written; ${listHosted(hosted)}` };
}

/** True if a canonical pattern means hosted repositories. */
export function isHostedPattern(pattern: string): boolean {
  return pattern.startsWith(`${HOSTED}/`);
}

function listHosted(hosted: HostedNamespaces): string {
  const listed = [...hosted].map((name) => `"${name}/**"`).join(', ');
  return listed === ''
    ? 'nothing is hosted here, so remove this, or add a namespace under "hosted" of hubgate.yaml'
    : `write a pattern in one of ${listed}`;
}

function isInNamespace(text: string, hosted: HostedNamespaces = new Set()): boolean {
  return [...hosted].some((name) => text.startsWith(`${name}/`));
}

/** Words that people use for every repository. No official image has such a name. */
const MEANS_EVERYTHING: ReadonlySet<string> = new Set(['all', 'any', 'anything', 'everywhere']);

/** Suggests a correction as `; write "acme/**"`, if that is a valid pattern. */
function suggestion(text: string, corrected: string, otherwise = ''): string {
  return corrected !== '' && corrected !== text && 'pattern' in canonicalPattern(corrected)
    ? `; write "${corrected}"`
    : otherwise;
}

const WILDCARDS = 'wildcards are *, ** and ${user}';

/** Returns why no name has these characters; undefined if names can have all of them. */
function whyOutside(text: string): string | undefined {
  const outside = /[^a-z0-9._/:*-]/.exec(text.replaceAll('${user}', ''))?.[0];
  if (/[\^\\()|+]|\.[*+]|^\/.*\/$/.test(text))
    return `patterns are not regular expressions${suggestion(text, fromRegularExpression(text), `; ${WILDCARDS}`)}`;
  if (outside === undefined) return undefined;
  if (/[A-Z]/.test(outside)) return `names are in lower case${suggestion(text, text.toLowerCase())}`;
  if (/[,;\s]/.test(outside)) {
    const names = text.split(/[,;\s]+/).filter((one) => one !== '');
    if (names.every((one) => 'pattern' in canonicalPattern(one)))
      return `names have no "${outside}"; write a list: [${names.map((one) => JSON.stringify(one)).join(', ')}]`;
  }
  const alternatives = /^(.*?)\{([^{}]*,[^{}]*)\}(.*)$/.exec(text);
  if (alternatives !== null) {
    const [, before, between = '', after] = alternatives;
    const names = between.split(',').map((one) => JSON.stringify(`${before}${one.trim()}${after}`));
    return `names have no "{"; write a list: [${names.join(', ')}]`;
  }
  const simpler = text
    .replaceAll(/\[[^[\]]*\]\**/g, '*')
    .replaceAll('?', '*')
    .replaceAll(/\$\{?(?:user|username|account|USER)\b\}?/g, '${user}');
  return `names have no "${outside}"; ${WILDCARDS}${suggestion(text, simpler)}`;
}

function fromRegularExpression(text: string): string {
  return text
    .replace(/^\/(?=\^|.*\/$)/, '')
    .replace(/^\^/, '')
    .replace(/\/$/, '')
    .replace(/\$$/, '')
    .replaceAll(/\\([/.-])/g, '$1')
    .replaceAll(/\[\^\/\][*+]|\[[^[\]]*\][*+]?|\\[wd][*+]?/g, '*')
    .replaceAll(/\.[*+]/g, '**');
}

function whySlashes(text: string): string | undefined {
  const segments = text.split('/');
  if (!segments.includes('')) return undefined;
  const plain = segments.filter((one) => one !== '').join('/');
  return `a slash stands between two parts of a name${suggestion(text, text.endsWith('/') ? `${plain}/**` : plain)}`;
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

/** True if a name can match. A letter stands in for each wildcard, because it is allowed everywhere. */
function isPossible(host: UpstreamHost, path: string): boolean {
  return repositoryAt(host, path.replaceAll('${user}', 'a').replaceAll(/\*+/g, 'a')) !== undefined;
}

/** Parses a written pattern of tags. Tags contain no slash, so `*` and `**` are the same. */
export function tagPattern(text: string): PatternText {
  return /^[A-Za-z0-9_*][A-Za-z0-9._*-]{0,127}$/.test(text)
    ? { pattern: text }
    : { wrong: `"${text}" can match no tag: tags are letters, digits and ._- only; the wildcard is *` };
}
