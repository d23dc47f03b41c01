/** The subjects of one kind have these properties in common. */
interface KindOfSubject {
  /**
   * The form in which a policy names the subjects of the kind:
   *
   * - `account`: by the name alone. These kinds share one namespace, and `${user}` stands for the name.
   * - `pattern`: by the kind, a colon and a pattern of names.
   * - `federated`: in the same way, but the pattern must fit the subjects of a configured federation.
   */
  readonly naming: 'account' | 'pattern' | 'federated';
  /** True if a directory can say the groups of such a subject. */
  readonly hasDirectoryGroups: boolean;
  /** True if a client may renew the login of such a subject without its password. */
  readonly canBeRemembered: boolean;
}

/** The kinds of subjects. */
export const SUBJECT_KINDS = {
  user: { naming: 'account', hasDirectoryGroups: true, canBeRemembered: true },
  service: { naming: 'account', hasDirectoryGroups: false, canBeRemembered: false },
  cert: { naming: 'pattern', hasDirectoryGroups: false, canBeRemembered: false },
  oidc: { naming: 'federated', hasDirectoryGroups: false, canBeRemembered: false },
} as const satisfies Readonly<Record<string, KindOfSubject>>;

type SubjectKind = keyof typeof SUBJECT_KINDS;

/** A subject that has a name. */
export type NamedSubject = Subject & { readonly kind: SubjectKind };

/**
 * The subject of a request, as policy, tokens and the audit log name it: `user:alice`, `cert:node-7`,
 * `anonymous`.
 */
export type Subject = { readonly kind: SubjectKind; readonly name: string } | { readonly kind: 'anonymous' };

export const ANONYMOUS: Subject = { kind: 'anonymous' };

export function formatSubject(subject: Subject): string {
  return subject.kind === 'anonymous' ? 'anonymous' : `${subject.kind}:${subject.name}`;
}

/** Parses what `formatSubject` formats, with its kind. `parseWrittenSubject` parses what people write. */
export function parseSubject(text: string): Subject | undefined {
  if (text === 'anonymous') return ANONYMOUS;
  const subject = splitSubject(text);
  // A name is one line.
  return subject !== undefined && /^.+$/.test(subject.name) ? subject : undefined;
}

/**
 * Splits a text that begins with a kind of subject. The rest is a name or a pattern of names, and may be
 * empty.
 */
export function splitSubject(text: string): NamedSubject | undefined {
  const colon = text.indexOf(':');
  const kind = text.slice(0, Math.max(colon, 0));
  return isKind(kind) ? { kind, name: text.slice(colon + 1) } : undefined;
}

function isKind(text: string): text is SubjectKind {
  return Object.hasOwn(SUBJECT_KINDS, text);
}

const GROUP = 'group:';

/**
 * Returns the name of the group that a policy names in the place of a subject; undefined if it names none.
 */
export function groupNameOf(text: string): string | undefined {
  return text.startsWith(GROUP) ? text.slice(GROUP.length) : undefined;
}

export function formatGroup(name: string): string {
  return `${GROUP}${name}`;
}

/** Parses a subject as people write it. A name alone means a user or a service, which share one namespace. */
export function parseWrittenSubject(text: string): Subject | undefined {
  const subject = parseSubject(isName(text) ? `user:${text}` : text);
  return subject !== undefined && nameOf(subject) !== undefined && !isName(nameOf(subject) ?? '')
    ? undefined
    : subject;
}

/** Returns the name that `${user}` stands for. Only accounts have one. */
export function nameOf(subject: Subject): string | undefined {
  return subject.kind !== 'anonymous' && SUBJECT_KINDS[subject.kind].naming === 'account'
    ? subject.name
    : undefined;
}

/** Returns the subjects that a name alone can mean, one of each kind. */
export function accountsNamed(name: string): readonly Subject[] {
  return Object.keys(SUBJECT_KINDS)
    .filter(isKind)
    .flatMap((kind) => (SUBJECT_KINDS[kind].naming === 'account' ? [{ kind, name }] : []));
}

export function hasDirectoryGroups(subject: Subject): subject is NamedSubject {
  return subject.kind !== 'anonymous' && SUBJECT_KINDS[subject.kind].hasDirectoryGroups;
}

export function canBeRemembered(subject: Subject): subject is NamedSubject {
  return subject.kind !== 'anonymous' && SUBJECT_KINDS[subject.kind].canBeRemembered;
}

export function isFederated(subject: Subject): subject is NamedSubject {
  return subject.kind !== 'anonymous' && SUBJECT_KINDS[subject.kind].naming === 'federated';
}

/**
 * The names that users and services can have, as directories, registries and CI systems write them: `Ana`,
 * `CORP\ana`, `robot$shop+ci`, `_json_key`. They are used in `to:`, in `${user}` and in `docker login`, so
 * they may not contain a colon, a slash, a wildcard, a bracket, a quote or white space. Case matters: `Ana`
 * and `ana` are two users.
 */
const NAME = /^[A-Za-z0-9_](?:[A-Za-z0-9._@+$\\-]{0,62}[A-Za-z0-9_$])?$/;

/** Words that have another meaning in the place of a name. */
const RESERVED: ReadonlySet<string> = new Set(['anonymous', 'authenticated', 'everything', 'oidc']);

export function isName(text: string): boolean {
  return NAME.test(text) && !RESERVED.has(text.toLowerCase());
}

const NAME_RULE = 'letters, digits and _, between them also . @ + - $ and \\, at most 64';

/** Returns why no subject can have this name, whatever file contains it; undefined if one can. */
export function whyNoName(text: string): string | undefined {
  if (RESERVED.has(text.toLowerCase()))
    return `"${text}" means something else in a policy, so no user can be called that`;
  return isName(text) ? undefined : `"${text}" is no user name: ${NAME_RULE}`;
}

/**
 * True if a common name can name the subject of a client certificate. The form is that of host names; RFC
 * 5280 limits it to 64 characters.
 */
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
