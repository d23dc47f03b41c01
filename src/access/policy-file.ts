import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Parsed } from '../platform/fault.ts';
import { oneOrMany, openYaml, type PartReader, section } from '../platform/yaml-schema.ts';
import {
  canonicalHost,
  DOCKER_HUB,
  looksLikeHost,
  parseUpstreamHost,
  type UpstreamHost,
} from '../registry/repository.ts';
import { parseNetwork } from './network.ts';
import { compilePattern, type Pattern } from './pattern.ts';
import type { Policy, Rule, SubjectPattern } from './policy.ts';
import { isName } from './subject.ts';

const TEXT = z.string('a text');
const ID = z.string('a name').regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'a name of letters, digits and ._-');
const SUBJECT = z.string('a user, group:…, cert:…, oidc:…, authenticated or anonymous');
const MEMBER = z.string('a user, cert:… or oidc:…');
const PULL = z.string('a pattern such as library/**, a $set, or everything');
const CIDR = z
  .string('a network such as 10.0.0.0/8')
  .refine((cidr) => parseNetwork([cidr]) !== undefined, 'a network such as 10.0.0.0/8');

const DENY_RULE = {
  id: ID.optional(),
  pull: oneOrMany(PULL),
  to: oneOrMany(SUBJECT),
  from: oneOrMany(CIDR).optional(),
  because: TEXT.optional(),
};
const RULES = {
  allow: section({ ...DENY_RULE, private: z.boolean('true or false').optional() }),
  deny: section(DENY_RULE),
};
const ANYTHING = z.unknown().optional();
const KEYS = section({
  version: ANYTHING,
  groups: ANYTHING,
  sets: ANYTHING,
  allow: ANYTHING,
  deny: ANYTHING,
});
const VERSION = z.literal(1, '1, the version of this format');
const NAMED = z.record(ID, ANYTHING, 'a map of names').optional();
const LIST = z.array(ANYTHING, 'a list of rules').optional();

type Path = readonly PropertyKey[];

/** The policy in `text`, or everything that is wrong with it. `source` is how faults name the file. */
export function parsePolicy(source: string, text: string): Parsed<Policy> {
  if (!/\n\.\.\.\s*$/.test(text)) {
    const message =
      'the last line is not "...": the file is taken for half-written, and nothing of it is used';
    return { faults: [{ source, line: text.trimEnd().split('\n').length, message }] };
  }
  const opened = openYaml(source, text);
  if ('faults' in opened) return opened;
  const version = createHash('sha256').update(text).digest('hex');
  return new PolicyReader(opened.value).read(version);
}

/** Reads every part of the file, and resolves names to what they stand for; what is wrong is collected on the way. */
class PolicyReader {
  readonly #parts: PartReader;
  readonly #groups: ReadonlyMap<string, readonly SubjectPattern[]>;
  readonly #sets: ReadonlyMap<string, readonly Pattern[]>;
  readonly #ids = new Set<string>();

  constructor(parts: PartReader) {
    this.#parts = parts;
    parts.read([], KEYS);
    parts.read(['version'], VERSION);
    this.#groups = this.#named('groups', MEMBER, (member, path) => this.#member(member, path));
    this.#sets = this.#named('sets', PULL, (pattern, path) => this.#pattern(pattern, path));
  }

  read(version: string): Parsed<Policy> {
    return this.#parts.result({ version, allow: this.#rules('allow'), deny: this.#rules('deny') });
  }

  #named<T>(
    key: 'groups' | 'sets',
    entry: z.ZodString,
    resolve: (text: string, path: Path) => readonly T[],
  ): ReadonlyMap<string, readonly T[]> {
    const names = Object.keys(this.#parts.read([key], NAMED) ?? {});
    return new Map(
      names.map((name) => {
        const entries = this.#parts.read([key, name], oneOrMany(entry)) ?? [];
        return [name, entries.flatMap((text, index) => resolve(text, [key, name, index]))];
      }),
    );
  }

  #rules(list: 'allow' | 'deny'): Rule[] {
    const entries = this.#parts.read([list], LIST) ?? [];
    return entries.flatMap((_, index) => this.#rule(list, index));
  }

  #rule(list: 'allow' | 'deny', index: number): Rule[] {
    const path = [list, index];
    const rule: z.output<typeof RULES.allow> | undefined = this.#parts.read(path, RULES[list]);
    if (rule === undefined) return [];
    if (rule.id !== undefined && this.#ids.has(rule.id)) {
      return this.#fault([...path, 'id'], `the id "${rule.id}" is taken by another rule`);
    }
    const id = rule.id ?? `line ${this.#parts.yaml.faultAt(path, '').line}`;
    const from = rule.from && parseNetwork(rule.from);
    this.#ids.add(id);
    return [
      {
        id,
        pull: rule.pull.flatMap((pattern, at) => this.#pull(pattern, [...path, 'pull', at])),
        to: rule.to.flatMap((subject, at) => this.#subject(subject, [...path, 'to', at])),
        ...(from && { from }),
        private: rule.private ?? false,
        ...(rule.because !== undefined && { because: rule.because }),
      },
    ];
  }

  #pull(text: string, path: Path): readonly Pattern[] {
    if (!text.startsWith('$') || text.startsWith('${')) return this.#pattern(text, path);
    return this.#sets.get(text.slice(1)) ?? this.#fault(path, `there is no set "${text.slice(1)}"`);
  }

  #pattern(text: string, path: Path): Pattern[] {
    const canonical = canonicalPattern(text);
    return 'pattern' in canonical ? [compilePattern(canonical.pattern)] : this.#fault(path, canonical.wrong);
  }

  #subject(text: string, path: Path): readonly SubjectPattern[] {
    if (text === 'authenticated' || text === 'anonymous') return [{ kind: text }];
    if (!text.startsWith('group:')) return this.#member(text, path);
    const group = text.slice('group:'.length);
    return this.#groups.get(group) ?? this.#fault(path, `there is no group "${group}"`);
  }

  #member(text: string, path: Path): SubjectPattern[] {
    const [, kind, value = ''] = /^(user|service|cert|oidc|group):(.*)$/s.exec(text) ?? ['', 'name', text];
    switch (kind) {
      case 'group':
        return this.#fault(path, `a group cannot hold a group; list both in the rule's "to"`);
      case 'cert':
      case 'oidc':
        if (value === '') return this.#fault(path, `"${text}" names nobody`);
        return [{ kind, pattern: compilePattern(value) }];
      default:
        if (!isName(value))
          return this.#fault(path, `"${text}" is no user name (lower-case letters, digits, ._@-)`);
        return [{ kind: 'name', name: value }];
    }
  }

  #fault(path: Path, message: string): [] {
    this.#parts.fault(path, message);
    return [];
  }
}

/**
 * A pattern over canonical names. Without a host it means Docker Hub, and one segment alone an official image there,
 * both as in `docker pull`.
 */
function canonicalPattern(text: string): { readonly pattern: string } | { readonly wrong: string } {
  if (text === 'everything') return { pattern: '**' };
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

function patternAt(
  host: UpstreamHost,
  text: string,
  segments: readonly string[],
): { readonly pattern: string } | { readonly wrong: string } {
  const [only = '', ...more] = segments;
  if (host !== DOCKER_HUB || more.length > 0 || only === '**')
    return { pattern: [host, ...segments].join('/') };
  if (only === '*') {
    return { wrong: `"${text}" is one segment; write library/* for official images, everything for all` };
  }
  return { pattern: `${host}/library/${only}` };
}
