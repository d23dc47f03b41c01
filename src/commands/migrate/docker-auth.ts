import { z } from 'zod';
import { canonicalPattern } from '../../access/pattern-text.ts';
import { isName, isWordForEverybody, whyNoName } from '../../access/subject.ts';
import { readStaticUsers } from '../../auth/identity/static-users.ts';
import { parseNetwork } from '../../platform/network.ts';
import { formatShellWord } from './shell-word.ts';
import { yamlText } from './yaml-text.ts';

/** The parts of a docker_auth configuration that mean something here. Everything else is ignored. */
const TEXT = z.union([z.string(), z.number().transform(String)]);
export const DOCKER_AUTH = z.looseObject({
  users: z.record(z.string(), z.unknown()).optional(),
  acl: z.array(
    z.looseObject({
      match: z.record(z.string(), z.unknown()).nullish(),
      actions: z.array(z.string()).nullish(),
      comment: TEXT.nullish(),
    }),
  ),
});
export type DockerAuth = z.output<typeof DOCKER_AUTH>;

/** A rule of ours, or the reason why an entry has none. */
export interface Migrated {
  readonly effect: 'allow' | 'deny';
  readonly rule?: string;
  readonly notes: readonly string[];
}

/** The conditions that a rule can have. Any other condition would be lost, and the rule would allow more. */
const KNOWN = new Set(['account', 'name', 'ip', 'type', 'service']);
/** Matches the expressions that people write for "every text except the empty one". */
const ANYBODY = /^\/(?:\^?\.\+\$?|\^?\.|\.\$)\/$/;
/** Matches the expressions for "every text, even the empty one". */
const ANYTHING = /^\/\^?\.\*\$?\/$/;

/** The other ways in which docker_auth knows people and decides. */
const WITHOUT_EQUAL: Readonly<Record<string, string>> = {
  google_auth: 'people log in by a name and a password of users.yaml',
  github_auth: 'people log in by a name and a password of users.yaml; GitHub Actions by federation',
  gitlab_auth: 'people log in by a name and a password of users.yaml; GitLab CI by federation',
  oidc_auth: 'people log in by a name and a password of users.yaml; JWTs are logins by federation',
  ldap_auth: 'people log in by a name and a password of users.yaml',
  mongo_auth: 'people log in by a name and a password of users.yaml',
  xorm_auth: 'people log in by a name and a password of users.yaml',
  ext_auth: 'people log in by a name and a password of users.yaml',
  plugin_authn: 'people log in by a name and a password of users.yaml',
  acl_mongo: 'rules are read from files only',
  acl_xorm: 'rules are read from files only',
  ext_authz: 'rules are read from files only',
  plugin_authz: 'rules are read from files only',
  casbin_authz: 'rules are read from files only',
};

export function withoutEqual(config: DockerAuth): string[] {
  return Object.entries(WITHOUT_EQUAL)
    .filter(([key]) => config[key] != null)
    .map(([key, why]) => `${key} has no equal: ${why}`);
}

/** Returns the steps that turn its users into ours. They contain no password and no hash. */
export function stepsForUsers({ users = {} }: DockerAuth, file: string): string[] {
  const { importable, others } = readStaticUsers(users);
  const add = others.map(({ name, why }) => (isName(name) ? `hubgate user add ${name}: ${why}` : why));
  if (importable.length === 0) return add;
  const names = importable.map(({ name }) => name).join(', ');
  const from =
    add.length === 0 ? formatShellWord(file) : `a copy of ${formatShellWord(file)} without those below`;
  return [`hubgate user import ${from}, which takes over with their passwords: ${names}`, ...add];
}

type AclEntry = DockerAuth['acl'][number];

/**
 * Converts each entry of the list into a rule or a note. There, the first matching entry decides, so an entry
 * that grants no pull refuses what later entries allow: it becomes a deny. If it cannot be written as a deny,
 * the entries below it are left out.
 */
export function migrateAcl({ acl, users = {} }: DockerAuth): Migrated[] {
  const hasAnonymous = Object.hasOwn(users, '');
  let refuser: number | undefined;
  return acl.map((entry, index): Migrated => {
    const number = index + 1;
    const { actions } = entry;
    const isPull = actions?.some((action) => action === 'pull' || action === '*') === true;
    const effect = isPull ? 'allow' : 'deny';
    const rule = migrateEntry(entry, { effect, hasAnonymous });
    const left = (why: string): Migrated => ({ effect, notes: [`entry ${number} is left to you: ${why}`] });
    if (isOfNoRepository(entry)) return left(reasonOf(rule));
    if ('wrong' in rule) {
      if (!isPull) refuser ??= number;
      return left(rule.wrong);
    }
    if (isPull && refuser !== undefined)
      return left(`entry ${refuser} above it refuses what could not be carried over`);
    const notes = [
      ...pushNotes(entry, number, isPull),
      ...(rule.notes ?? []).map((note) => `entry ${number}: ${note}`),
    ];
    return { effect, rule: rule.text, notes };
  });
}

function pushNotes({ actions }: AclEntry, number: number, isPull: boolean): string[] {
  return isPull || actions == null || actions.length === 0
    ? []
    : [`entry ${number} allows no pull`, `entry ${number} refuses pulls there, so it is a deny here`];
}

/** True if the entry matches no repository, for example the catalog. */
function isOfNoRepository({ match }: AclEntry): boolean {
  const type = match?.type;
  return typeof type === 'string' && /^[a-z]+$/.test(type) && type !== 'repository';
}

function reasonOf(part: AclPart): string {
  return 'wrong' in part ? part.wrong : 'it matches no repository';
}

interface AclContext {
  readonly effect: Migrated['effect'];
  /** True if docker_auth admits clients without a login, which it does if it has a user without a name. */
  readonly hasAnonymous: boolean;
}

function migrateEntry({ match, comment }: AclEntry, circumstances: AclContext): AclPart {
  const account = toOf(match?.account, circumstances);
  const pull = pullOf(match?.name);
  const unknown = Object.keys(match ?? {}).filter((key) => !KNOWN.has(key));
  const { ip } = match ?? {};
  const wrong = [account, pull].flatMap((part) => ('wrong' in part ? [part.wrong] : []));
  if (unknown.length > 0) wrong.push(`it matches ${unknown.join(', ')}`);
  wrong.push(...lostConditions(match ?? {}));
  if ('wrong' in account || 'wrong' in pull || wrong.length > 0) return { wrong: wrong.join('; ') };
  const parts = [
    `pull: ${pull.text}`,
    `to: ${account.text}`,
    ...(typeof ip === 'string' ? [`from: ${yamlText(ip)}`] : []),
    ...(comment ? [`because: ${yamlText(String(comment))}`] : []),
  ];
  return { text: `{ ${parts.join(', ')} }`, notes: [...(account.notes ?? []), ...(pull.notes ?? [])] };
}

/** Lists the conditions that a rule here cannot have. */
function lostConditions({ ip, type, service }: Readonly<Record<string, unknown>>): string[] {
  const lost: string[] = [];
  if (type !== undefined && !meansAll(type) && type !== 'repository') lost.push(`it is of type ${type}`);
  if (service !== undefined && !meansAll(service))
    lost.push(`it is for the service ${service} alone, and there is one service here`);
  if (ip !== undefined && (typeof ip !== 'string' || parseNetwork([ip]) === undefined))
    lost.push('its ip is no address and no network');
  return lost;
}

type AclPart =
  | {
      readonly text: string;
      /** The ways in which this part differs from the original. */
      readonly notes?: readonly string[];
    }
  | { readonly wrong: string };

/** A deny may also match clients who cannot log in to docker_auth; an allow must not admit them. */
function toOf(account: unknown, { effect, hasAnonymous }: AclContext): AclPart {
  if (account === undefined || (typeof account === 'string' && ANYTHING.test(account))) {
    return hasAnonymous || effect === 'deny'
      ? { text: '[authenticated, anonymous]' }
      : { text: 'authenticated' };
  }
  if (account === '') {
    return hasAnonymous || effect === 'deny'
      ? { text: 'anonymous' }
      : { wrong: 'it is for those who have not logged in, and "users" has no user ""' };
  }
  if (typeof account !== 'string') return { wrong: 'its account is no text' };
  if (ANYBODY.test(account)) return { text: 'authenticated' };
  if (/[/*?[\]$\\]/.test(account)) return { wrong: `its account is the pattern ${account}` };
  // A user of docker_auth may have a name that means everybody here, or a group.
  const why = whyNoName(account);
  if (why !== undefined) return { wrong: `its account is ${why}` };
  return { text: yamlText(isWordForEverybody(account) ? `user:${account}` : account) };
}

/** True if the condition matches every request. */
function meansAll(condition: unknown): boolean {
  return (
    condition === '*' ||
    (typeof condition === 'string' && (ANYBODY.test(condition) || ANYTHING.test(condition)))
  );
}

function pullOf(name: unknown): AclPart {
  if (name === undefined) return { text: 'everything' };
  if (typeof name !== 'string') return { wrong: 'its name is no text' };
  if (name.length > 1 && /^\/.*\/$/s.test(name)) {
    return ANYBODY.test(name) || ANYTHING.test(name)
      ? { text: 'everything' }
      : { wrong: `its name is the regular expression ${name}` };
  }
  if (name.replace(/\$\{[a-z:]*\}/g, '').includes(':'))
    return { wrong: `its name ${name} holds a colon, and no name does` };
  // In docker_auth, any number of stars stays within one part of a name.
  const pattern = name.replaceAll('${account}', '${user}').replaceAll(/\*+/g, '*');
  if (pattern === '*') {
    const note = 'its name "*" matches names of one part, which here are official images: library/*';
    return { text: 'library/*', notes: [note] };
  }
  const canonical = canonicalPattern(pattern);
  // A repository may have a name that means all repositories here.
  if (/^[a-z]+$/.test(pattern)) return { text: yamlText(`library/${pattern}`) };
  if ('wrong' in canonical) return { wrong: canonical.wrong };
  return { text: yamlText(pattern) };
}
