/** The logins of directories: where people prove who they are, and which groups they have. */
import { z } from 'zod';
import { isLoopback } from '../platform/network.ts';
import { type PartReader, section } from '../platform/yaml/yaml-schema.ts';
import { optional } from './schema.ts';
import { parseTemplate, type SubjectTemplate, UNFIT } from './subject-template.ts';
import { BOOLEAN, duration } from './values.ts';

interface LoginTimes {
  readonly name: string;
  /** The milliseconds between two confirmations of a person by the directory. */
  readonly confirm: number;
  /** The milliseconds for which a person counts while the directory cannot confirm. */
  readonly offline: number;
}

/** A login by OpenID Connect. */
export interface OidcLogin extends LoginTimes {
  readonly kind: 'oidc';
  readonly issuer: string;
  readonly clientId: string;
  /** Absent for a public client, which has PKCE alone. */
  readonly clientSecretFile?: string;
  /** The name of the person. */
  readonly user: SubjectTemplate;
  /** The way to the claim with the groups. */
  readonly groups: readonly string[];
  /** The file of the secret by which the provider says who has left. Absent if it does not say so. */
  readonly scimTokenFile?: string;
}

/** A login by LDAP or Active Directory. */
export interface LdapLogin extends LoginTimes {
  readonly kind: 'ldap';
  readonly url: string;
  readonly startTls: boolean;
  /** The file of the authorities that are trusted for the directory, in place of the usual ones. */
  readonly ca?: string;
  /** Absent if the directory may be searched without a login. */
  readonly bindDn?: string;
  readonly bindPasswordFile?: string;
  /** The DN below which people are. */
  readonly people: string;
  /** The attribute with the name of a person. */
  readonly user: string;
  /** The attribute with the DNs of the groups. */
  readonly groups: string;
  readonly passwords: 'console' | 'everywhere';
}

export type DirectoryLogin = OidcLogin | LdapLogin;

const AN_ISSUER = 'the https address of an identity provider (http on loopback only)';
const A_TEMPLATE = 'a text with claims in it, such as "${preferred_username}"';
const A_CLAIM = 'one claim, such as "${groups}"';
const A_DIRECTORY = 'the address of a directory, such as ldaps://dc1.corp or ldap://dc1.corp with startTls';
const A_DN = 'a DN, such as "ou=people,dc=corp"';
const AN_ATTRIBUTE = 'the name of an attribute, such as uid';
const ATTRIBUTE = /^[A-Za-z][A-Za-z0-9-]{0,62}$/;
const FILE = z.string('a path').min(1, 'a path');
const PLACES = ['console', 'everywhere'] as const;
const CONFIRM = duration(60_000, 24 * 3_600_000, ' between 60s and 24h');
const OFFLINE = duration(60_000, 30 * 24 * 3_600_000, ' between 60s and 30d');

const DN = z.string(A_DN).regex(/^[A-Za-z0-9.-]+\s*=.+$/, A_DN);
const ATTRIBUTE_NAME = z.string(AN_ATTRIBUTE).regex(ATTRIBUTE, AN_ATTRIBUTE);

export const LOGIN_KEYS = {
  confirm: optional(
    CONFIRM,
    '`15m`',
    'How often the directory confirms each person. A removed membership takes effect within this time.',
  ),
  offline: optional(
    OFFLINE,
    '`24h`',
    'How long a person counts while the directory cannot confirm them. After it their tokens are suspended until they log in again.',
  ),
};

export const OIDC_KEYS = {
  issuer: z
    .string(AN_ISSUER)
    .refine(isIssuer, AN_ISSUER)
    .meta({ description: 'Must equal the `iss` claim exactly.', without: 'none: it is required' }),
  clientId: z
    .string('a text')
    .min(1, 'a text')
    .meta({ description: 'The id of Hubgate at the identity provider.', without: 'none: it is required' }),
  clientSecretFile: optional(
    FILE,
    'none: Hubgate is a public client there',
    'The file that holds the secret of the client, and nothing else. It is read at each use.',
  ),
  user: optional(
    z.string(A_TEMPLATE),
    '`${preferred_username}`',
    'The claims that make the name of a person. People must not be able to choose them.',
  ),
  groups: optional(z.string(A_CLAIM), '`${groups}`', 'The claim with the list of groups.'),
  scimTokenFile: optional(
    FILE,
    'none: there is no SCIM',
    'The file that holds the bearer token by which the provider deactivates people with SCIM, and nothing else: at least 32 characters. It is read at each use.',
  ),
};

export const LDAP_KEYS = {
  url: z
    .string(A_DIRECTORY)
    .refine((text) => urlOf(text) !== undefined, A_DIRECTORY)
    .meta({
      description: 'The address of the directory. Without TLS it must be on loopback.',
      without: 'none: it is required',
    }),
  startTls: optional(
    BOOLEAN,
    '`false`',
    '`true` turns a connection to `ldap://` into TLS before anything is sent.',
  ),
  ca: optional(
    FILE,
    'the usual authorities',
    'A PEM file with the only authorities that are trusted for the directory. It is read at the start.',
  ),
  bindDn: optional(DN, 'none: the search is anonymous', 'The DN of the account that searches for people.'),
  bindPasswordFile: optional(
    FILE,
    'none',
    'The file that holds the password of that account, and nothing else. It is read at each connection.',
  ),
  people: DN.meta({
    description: 'The DN below which people are searched.',
    without: 'none: it is required',
  }),
  user: optional(
    ATTRIBUTE_NAME,
    '`uid`',
    'The attribute with the name of a person: `sAMAccountName` in Active Directory.',
  ),
  groups: optional(
    ATTRIBUTE_NAME,
    '`memberOf`',
    'The attribute with the DNs of the groups. The name of a group is the first value of its DN.',
  ),
  passwords: optional(
    z.enum(PLACES, `one of ${PLACES.join(', ')}`),
    '`console`',
    'Where the password of the directory is accepted. `console`: on the account page alone, so that no client stores it. `everywhere`: by `docker login` too.',
  ),
};

const LOGINS = z.record(z.string(), z.unknown(), 'a map of logins by name').nullish();
const ENTRY = section(
  { oidc: z.unknown().optional(), ldap: z.unknown().optional(), ...LOGIN_KEYS },
  { openid: 'oidc', ad: 'ldap', passwords: 'passwords is a key of ldap; write it there' },
);
const OIDC = section(OIDC_KEYS, {
  clientSecret: 'the secret stands in a file; write clientSecretFile',
  client: 'clientId',
  username: 'user',
  scimToken: 'the token stands in a file; write scimTokenFile',
  scim: 'scimTokenFile',
});
const LDAP = section(LDAP_KEYS, {
  bindPassword: 'the password stands in a file; write bindPasswordFile',
  password: 'bindPasswordFile',
  base: 'people',
  baseDn: 'people',
  server: 'url',
  starttls: 'startTls',
});
const NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

function isIssuer(text: string): boolean {
  const url = UNFIT.test(text) ? null : URL.parse(text);
  if (url === null || `${url.username}${url.password}` !== '' || /[?#]/.test(text)) return false;
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname));
}

/** `URL` reads no host of a scheme that it does not know, so the address is read as one of HTTP. */
function urlOf(text: string): { readonly isSecure: boolean; readonly hostname: string } | undefined {
  const [, scheme, rest] = /^(ldaps?):\/\/([^/?#\s@]+)\/?$/.exec(text) ?? [];
  const url = rest === undefined ? null : URL.parse(`http://${rest}`);
  return url === null ? undefined : { isSecure: scheme === 'ldaps', hostname: url.hostname };
}

/** Reads the section `login`. */
export function readDirectoryLogins(
  parts: PartReader,
  at: (file: string) => string,
): readonly DirectoryLogin[] {
  const names = Object.keys(parts.read(['login'], LOGINS) ?? {});
  return names.flatMap((name) => readLogin(parts, name, at) ?? []);
}

function readLogin(
  parts: PartReader,
  name: string,
  at: (file: string) => string,
): DirectoryLogin | undefined {
  const path = ['login', name];
  if (!NAME.test(name) || name === 'local')
    parts.fault(
      path,
      `"${name}" is no name of a login (lower-case letters, digits and -, and not local)`,
      'key',
    );
  const given = parts.read(path, ENTRY);
  if (given === undefined) return undefined;
  const { oidc, ldap, confirm = CONFIRM.parse('15m'), offline = OFFLINE.parse('24h') } = given;
  if ((oidc === undefined) === (ldap === undefined)) {
    parts.fault(path, `${name} needs oidc or ldap, and not both`, 'key');
    return undefined;
  }
  if (offline < confirm) parts.fault([...path, 'offline'], 'it is shorter than confirm; write a longer time');
  const times = { name, confirm, offline };
  return oidc === undefined ? readLdap(parts, times, at) : readOidc(parts, times, at);
}

function readOidc(parts: PartReader, times: LoginTimes, at: (file: string) => string): OidcLogin | undefined {
  const path = ['login', times.name, 'oidc'];
  const given = parts.read(path, OIDC);
  if (given === undefined) return undefined;
  const { issuer, clientId, clientSecretFile, scimTokenFile } = given;
  const user = parseTemplate(given.user ?? '${preferred_username}');
  const groups = parseTemplate(given.groups ?? '${groups}');
  if ('wrong' in user) parts.fault([...path, 'user'], user.wrong);
  const [claim, ...others] = 'template' in groups ? groups.template : [];
  if (claim === undefined || !('claim' in claim) || others.length > 0) {
    parts.fault([...path, 'groups'], `expected ${A_CLAIM}`);
    return undefined;
  }
  if ('wrong' in user) return undefined;
  return {
    ...{ ...times, kind: 'oidc', issuer, clientId, user: user.template, groups: claim.claim },
    ...(clientSecretFile !== undefined && { clientSecretFile: at(clientSecretFile) }),
    ...(scimTokenFile !== undefined && { scimTokenFile: at(scimTokenFile) }),
  };
}

function readLdap(parts: PartReader, times: LoginTimes, at: (file: string) => string): LdapLogin | undefined {
  const path = ['login', times.name, 'ldap'];
  const given = parts.read(path, LDAP);
  if (given === undefined) return undefined;
  const { url, startTls = false, ca, bindDn, bindPasswordFile, people } = given;
  const { user = 'uid', groups = 'memberOf', passwords = 'console' } = given;
  const { isSecure = false, hostname = '' } = urlOf(url) ?? {};
  if (isSecure && startTls)
    parts.fault([...path, 'startTls'], 'a connection to ldaps:// is TLS already; remove this');
  if (!isSecure && !startTls && !isLoopback(hostname))
    parts.fault([...path, 'url'], 'passwords would be sent without TLS; write ldaps://, or startTls: true');
  if ((bindDn === undefined) !== (bindPasswordFile === undefined))
    parts.fault(path, 'bindDn and bindPasswordFile belong together; write both, or none', 'key');
  return {
    ...{ ...times, kind: 'ldap', url, startTls, people, user, groups, passwords },
    ...(ca !== undefined && { ca: at(ca) }),
    ...(bindDn !== undefined && { bindDn }),
    ...(bindPasswordFile !== undefined && { bindPasswordFile: at(bindPasswordFile) }),
  };
}

/** Returns the files with secrets and authorities of the logins, each with its key. */
export function filesOfLogins(
  logins: readonly DirectoryLogin[],
): readonly { readonly path: readonly string[]; readonly file: string; readonly kind: 'secret' | 'ca' }[] {
  return logins.flatMap((login) => {
    const path = ['login', login.name, login.kind];
    const entry = (key: string, file: string | undefined, kind: 'secret' | 'ca') =>
      file === undefined ? [] : [{ path: [...path, key], file, kind }];
    return login.kind === 'oidc'
      ? [
          ...entry('clientSecretFile', login.clientSecretFile, 'secret'),
          ...entry('scimTokenFile', login.scimTokenFile, 'secret'),
        ]
      : [...entry('bindPasswordFile', login.bindPasswordFile, 'secret'), ...entry('ca', login.ca, 'ca')];
  });
}
