/** Who asks, as policy, tokens and the audit log name it: `user:alice`, `cert:node-7`, `anonymous`. */
export type Subject =
  | { readonly kind: 'user' | 'service' | 'cert' | 'oidc'; readonly name: string }
  | { readonly kind: 'anonymous' };

export const ANONYMOUS: Subject = { kind: 'anonymous' };

export function writeSubject(subject: Subject): string {
  return subject.kind === 'anonymous' ? 'anonymous' : `${subject.kind}:${subject.name}`;
}

export function parseSubject(text: string): Subject | undefined {
  if (text === 'anonymous') return ANONYMOUS;
  const match = /^(user|service|cert|oidc):(.+)$/.exec(text);
  if (match?.[1] === undefined || match[2] === undefined) return undefined;
  return { kind: match[1] as 'user' | 'service' | 'cert' | 'oidc', name: match[2] };
}

/** As people write it: a name alone is a user's, or a service's, which share one space of names. */
export function readSubject(text: string): Subject | undefined {
  const subject = parseSubject(isName(text) ? `user:${text}` : text);
  return subject !== undefined && nameOf(subject) !== undefined && !isName(nameOf(subject) ?? '')
    ? undefined
    : subject;
}

/** What `${user}` stands for; only users and services have such a name. */
export function nameOf(subject: Subject): string | undefined {
  return subject.kind === 'user' || subject.kind === 'service' ? subject.name : undefined;
}

/**
 * The names that users and services can have, as directories, registries and CI systems write them: `Ana`, `CORP\ana`,
 * `robot$shop+ci`, `_json_key`. They stand in `to:`, in `${user}` and in `docker login`, so they may not hold a colon, a slash, a
 * wildcard, a bracket, a quote or white space. Capitals count: `Ana` and `ana` are two users.
 */
const NAME = /^[A-Za-z0-9_](?:[A-Za-z0-9._@+$\\-]{0,62}[A-Za-z0-9_$])?$/;

/** Words that mean something else where a name can stand. */
const RESERVED: ReadonlySet<string> = new Set(['anonymous', 'authenticated', 'everything', 'oidc']);

export function isName(text: string): boolean {
  return NAME.test(text) && !RESERVED.has(text.toLowerCase());
}

const NAME_RULE = 'letters, digits and _, between them also . @ + - $ and \\, at most 64';

/** Returns why no subject can have this name, in whatever file it stands; undefined if one can. */
export function whyNoName(text: string): string | undefined {
  if (RESERVED.has(text.toLowerCase()))
    return `"${text}" means something else in a policy, so no user can be called that`;
  return isName(text) ? undefined : `"${text}" is no user name: ${NAME_RULE}`;
}

/** The common names that name a client certificate's subject, as of hosts; RFC 5280 bounds them to 64 characters. */
export function isCertificateName(text: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(text);
}

const EVERYBODY: ReadonlySet<string> = new Set([
  'everyone',
  'everybody',
  'all',
  'any',
  'anyone',
  'public',
  'users',
]);

/**
 * True for the words that people use for everybody. A user can have such a name, which a policy then writes
 * as `user:all`.
 */
export function isWordForEverybody(text: string): boolean {
  return EVERYBODY.has(text.toLowerCase());
}
