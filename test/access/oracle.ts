/**
 * The policy's meaning once more, from the words of the design and in the plainest way: every pattern is
 * tried by every way to read it, every network is compared as a text of bits. It shares no code with
 * `src/access`, so that a mistake would have to be made twice to stay unseen.
 */

/** An entry of `allow` or `deny`, as it would stand in a file. */
export interface PlainRule {
  readonly id?: string;
  readonly pull: string | readonly string[];
  readonly to: string | readonly string[];
  readonly from?: string | readonly string[];
  readonly tags?: string | readonly string[];
  readonly until?: string;
  readonly because?: string;
  readonly private?: boolean;
}

export interface PlainPolicy {
  readonly groups: Readonly<Record<string, readonly string[]>>;
  readonly sets: Readonly<Record<string, readonly string[]>>;
  readonly allow: readonly PlainRule[];
  readonly deny: readonly PlainRule[];
}

export interface PlainQuestion {
  /** `user:ana`, `cert:prod-1`, `anonymous`. */
  readonly who: string;
  readonly address: string;
  /** In any form in which clients write it. */
  readonly repository: string;
  readonly tag?: string | undefined;
  readonly at: number;
}

export type PlainAnswer =
  | { readonly decision: 'allow'; readonly rule: PlainRule; readonly private: boolean }
  | { readonly decision: 'deny'; readonly rule?: PlainRule };

export function answer(policy: PlainPolicy, question: PlainQuestion): PlainAnswer {
  const matching = (rule: PlainRule) => applies(rule, policy, question);
  // A pull by digest resolves no tag: a deny of tags has nothing to refuse, an allow of tags still names the
  // repository.
  const denies = policy.deny.filter((rule) => question.tag !== undefined || rule.tags === undefined);
  const deny = denies.find(matching);
  if (deny !== undefined) return { decision: 'deny', rule: deny };
  const allows = policy.allow.filter(matching);
  const widest = allows.find((rule) => rule.private === true);
  const rule = widest ?? allows[0];
  if (rule === undefined) return { decision: 'deny' };
  return { decision: 'allow', rule, private: widest !== undefined };
}

function applies(rule: PlainRule, policy: PlainPolicy, question: PlainQuestion): boolean {
  const { who, address, tag, at } = question;
  const name = canonicalName(question.repository);
  const patterns = list(rule.pull).flatMap((text) =>
    text.startsWith('$') && !text.startsWith('${') ? (policy.sets[text.slice(1)] ?? []) : [text],
  );
  return (
    patterns.some((pattern) => nameMatches(pattern, name, who)) &&
    list(rule.to).some((to) => subjectMatches(to, who, policy)) &&
    (rule.from === undefined || list(rule.from).some((network) => isIn(address, network))) &&
    (rule.tags === undefined || tag === undefined || list(rule.tags).some((one) => globMatches(one, tag))) &&
    (rule.until === undefined || at < endOf(rule.until))
  );
}

function list(value: string | readonly string[]): readonly string[] {
  return typeof value === 'string' ? [value] : value;
}

/** `host/path` of a name or a pattern: no host is Docker Hub, and one segment there an official image. */
export function canonicalName(text: string): string {
  const [first = '', ...others] = text.split('/');
  const isHost = others.length > 0 && (/[.:]/.test(first) || first === 'localhost');
  const host = isHost ? first : 'docker.io';
  const path = isHost ? others.join('/') : text;
  if (!['docker.io', 'index.docker.io', 'registry-1.docker.io'].includes(host)) return `${host}/${path}`;
  // ** alone is all of Docker Hub; as a part of the one segment it is refused.
  const isOfficial = !path.includes('/') && path !== '**';
  return `docker.io/${isOfficial ? `library/${path}` : path}`;
}

function nameMatches(pattern: string, name: string, who: string): boolean {
  if (pattern === 'everything') return true;
  const user = /^(?:user|service):(.*)$/.exec(who)?.[1];
  if (user === undefined && pattern.includes('${user}')) return false;
  return globMatches(canonicalName(pattern).replaceAll('${user}', user ?? ''), name);
}

/**
 * Can `text` be read as `pattern`? `*` is any run of characters without a slash, `**` any run, and as a
 * segment in front of others also no directory at all.
 */
export function globMatches(pattern: string, text: string, atSegment = true): boolean {
  if (pattern === '') return text === '';
  if (atSegment && pattern.startsWith('**/') && globMatches(pattern.slice(3), text)) return true;
  if (pattern.startsWith('**')) return tails(text).some((tail) => globMatches(pattern.slice(2), tail, false));
  if (pattern.startsWith('*')) {
    const segment = text.split('/', 1)[0] ?? '';
    const rest = text.slice(segment.length);
    return tails(segment).some((tail) => globMatches(pattern.slice(1), tail + rest, false));
  }
  return text[0] === pattern[0] && globMatches(pattern.slice(1), text.slice(1), pattern[0] === '/');
}

/** All that can be left of `text` when something was taken from its beginning. */
function tails(text: string): string[] {
  return Array.from({ length: text.length + 1 }, (_, length) => text.slice(length));
}

function subjectMatches(to: string, who: string, policy: PlainPolicy): boolean {
  if (to === 'anonymous') return who === 'anonymous';
  if (to === 'authenticated') return who !== 'anonymous';
  if (to.startsWith('group:')) {
    return (policy.groups[to.slice('group:'.length)] ?? []).some((one) => subjectMatches(one, who, policy));
  }
  if (to.startsWith('cert:')) return globMatches(to, who);
  if (to.startsWith('oidc:')) return to === who || federatedMatches(to, who);
  return who === `user:${to}` || who === `service:${to}`;
}

/** The claims of a subject, or of a pattern that names them all or ends with `**`. */
const CLAIMS: Readonly<Record<string, RegExp>> = {
  github: /^oidc:github:([^@]*)(?:@(.*))?$/,
  gitlab: /^oidc:gitlab:([^@]*)(?:@([^/]*)(?:\/(.*))?)?$/,
};

function federatedMatches(to: string, who: string): boolean {
  if (to === 'oidc:**') return who.startsWith('oidc:');
  const claims = CLAIMS[to.split(':')[1] ?? ''];
  const [patterns, values] = [claims?.exec(to), claims?.exec(who)];
  if (!patterns || !values || !to.includes('*')) return false;
  // What a pattern that ends with ** does not name may be anything.
  return patterns
    .slice(1)
    .every((pattern, index) => pattern === undefined || globMatches(pattern, values[index + 1] ?? ''));
}

/** The first moment at which a rule is gone. */
function endOf(until: string): number {
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = (until.match(/\d+/g) ?? []).map(
    Number,
  );
  if (!until.includes('T')) return Date.UTC(year, month - 1, day + 1);
  const zone = /([+-])(\d\d):(\d\d)$/.exec(until);
  const ahead = zone === null ? 0 : Number(`${zone[1]}1`) * (Number(zone[2]) * 60 + Number(zone[3]));
  const hasSeconds = /:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)$/.test(until);
  return Date.UTC(year, month - 1, day, hour, minute - ahead, hasSeconds ? second : 0);
}

export function isIn(address: string, network: string): boolean {
  // The interface over which a link-local peer came says nothing of its network.
  const bits = bitsOf(address.replace(/%.*$/, ''));
  const [base = '', length] = network.split('/');
  const baseBits = bitsOf(base);
  if (bits === undefined || baseBits === undefined) return false;
  // A mapped network is one of IPv4, where it fixes what makes it a mapped one.
  const fixed = baseBits.slice(0, length === undefined ? baseBits.length : Number(length));
  const [wanted, width] = fixed.startsWith(MAPPED)
    ? [fixed.slice(MAPPED.length), 32]
    : [fixed, baseBits.length];
  const plain = bits.startsWith(MAPPED) ? bits.slice(MAPPED.length) : bits;
  return plain.length === width && plain.startsWith(wanted);
}

const MAPPED = '0'.repeat(80) + '1'.repeat(16);

/** 32 characters for IPv4, 128 for IPv6, none for what is no address. */
function bitsOf(address: string): string | undefined {
  if (/^\d+\.\d+\.\d+\.\d+$/.test(address))
    return address
      .split('.')
      .map((octet) => binary(octet, 10, 8))
      .join('');
  if (!/^[\da-fA-F:.]*:[\da-fA-F:.]*$/.test(address)) return undefined;
  const dotted = /\d+\.\d+\.\d+\.\d+$/.exec(address)?.[0];
  const low = dotted === undefined ? '' : (bitsOf(dotted) ?? '');
  const hex = dotted === undefined ? address : address.slice(0, -dotted.length).replace(/([^:]):$/, '$1');
  const [head = '', tail = ''] = hex.split('::').map(groupsOf);
  return head + '0'.repeat(128 - head.length - tail.length - low.length) + tail + low;
}

function groupsOf(text: string): string {
  return text
    .split(':')
    .filter((group) => group !== '')
    .map((group) => binary(group, 16, 16))
    .join('');
}

function binary(digits: string, base: number, width: number): string {
  return Number.parseInt(digits, base).toString(2).padStart(width, '0');
}
