import { z } from 'zod';
import { canonicalPattern } from '../../access/pattern-text.ts';
import { isName, whyNoName } from '../../access/subject.ts';
import { readStaticUsers } from '../../auth/identity/static-users.ts';
import { shellFile } from './shell-word.ts';
import { yamlText } from './yaml-text.ts';

/** The parts of a docker_auth configuration that mean something here. Everything else is not looked at. */
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

/** A rule of ours, or why an entry has none. */
export interface Migrated {
  readonly effect: 'allow' | 'deny';
  readonly rule?: string;
  readonly notes: readonly string[];
}

/** Those of its conditions that a rule can have. Every other one would be lost, and the rule be wider. */
const KNOWN = new Set(['account', 'name', 'ip', 'type', 'service']);
/** Matches everybody who has a name, in the ways in which people write that. */
const ANYBODY = /^\/\^?(?:\.[+*]|\.)\$?\/$/;

/** Its other ways to know people and to decide. */
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

/** How its users become ours; no password and no hash is shown. */
export function stepsForUsers({ users = {} }: DockerAuth, file: string): string[] {
  const { importable, others } = readStaticUsers(users);
  const add = others.map(({ name, why }) => (isName(name) ? `hubgate user add ${name}: ${why}` : why));
  if (importable.length === 0) return add;
  const names = importable.map(({ name }) => name).join(', ');
  const from = add.length === 0 ? shellFile(file) : `a copy of ${shellFile(file)} without those below`;
  return [`hubgate user import ${from}, which takes over with their passwords: ${names}`, ...add];
}

type Entry = DockerAuth['acl'][number];

/** Each entry of the list as a rule, or as a note. */
export function migrateAcl({ acl }: DockerAuth): Migrated[] {
  return acl.map((entry, index) => {
    const { actions } = entry;
    const effect = actions == null || actions.length === 0 ? 'deny' : 'allow';
    const isPull = effect === 'deny' || actions?.some((action) => action === 'pull' || action === '*');
    if (isPull !== true) return { effect, notes: [`entry ${index + 1} allows no pull`] };
    const rule = migrateEntry(entry);
    return 'text' in rule
      ? { effect, rule: rule.text, notes: [] }
      : { effect, notes: [`entry ${index + 1} is left to you: ${rule.wrong}`] };
  });
}

function migrateEntry({ match, comment }: Entry): Part {
  const account = toOf(match?.account);
  const pull = pullOf(match?.name);
  const unknown = Object.keys(match ?? {}).filter((key) => !KNOWN.has(key));
  const { ip, type, service } = match ?? {};
  const wrong = [account, pull].flatMap((part) => ('wrong' in part ? [part.wrong] : []));
  if (unknown.length > 0) wrong.push(`it matches ${unknown.join(', ')}`);
  if (type !== undefined && !meansAll(type) && type !== 'repository') wrong.push(`it is of type ${type}`);
  if (service !== undefined && !meansAll(service))
    wrong.push(`it is for the service ${service} alone, and there is one service here`);
  if (ip !== undefined && typeof ip !== 'string') wrong.push('its ip is no text');
  if ('wrong' in account || 'wrong' in pull || wrong.length > 0) return { wrong: wrong.join('; ') };
  const parts = [
    `pull: ${pull.text}`,
    `to: ${account.text}`,
    ...(typeof ip === 'string' ? [`from: ${yamlText(ip)}`] : []),
    ...(comment ? [`because: ${yamlText(String(comment))}`] : []),
  ];
  return { text: `{ ${parts.join(', ')} }` };
}

type Part = { readonly text: string } | { readonly wrong: string };

function toOf(account: unknown): Part {
  if (account === undefined) return { text: '[authenticated, anonymous]' };
  if (account === '') return { text: 'anonymous' };
  if (typeof account !== 'string') return { wrong: 'its account is no text' };
  if (ANYBODY.test(account)) return { text: 'authenticated' };
  if (/[/*?[\]$]/.test(account)) return { wrong: `its account is the pattern ${account}` };
  // A user there may be called what means everybody here, or a group.
  const why = whyNoName(account);
  return why === undefined ? { text: yamlText(account) } : { wrong: `its account is ${why}` };
}

/** Of what has a text for every request. */
function meansAll(condition: unknown): boolean {
  return condition === '*' || (typeof condition === 'string' && ANYBODY.test(condition));
}

function pullOf(name: unknown): Part {
  if (name === undefined || name === '*') return { text: 'everything' };
  if (typeof name !== 'string') return { wrong: 'its name is no text' };
  if (/^\/.*\/$/.test(name)) {
    return ANYBODY.test(name)
      ? { text: 'everything' }
      : { wrong: `its name is the regular expression ${name}` };
  }
  const pattern = name.replaceAll('${account}', '${user}');
  const canonical = canonicalPattern(pattern);
  if ('wrong' in canonical) return { wrong: canonical.wrong };
  // A repository may be called what means all of them here.
  return { text: yamlText(pattern === 'everything' ? 'library/everything' : pattern) };
}
