import { formatSubject, nameOf, type Subject } from '../../access/subject.ts';
import { readUsers } from '../../auth/identity/users-file.ts';
import type { Config } from '../../config/config.ts';
import type { HomePaths } from '../../config/home.ts';
import { hostedNames } from '../../config/hosted.ts';
import { CACHED_REPOSITORIES, type CachedRepositories } from '../../protocol/core-api.ts';
import { HOSTED_REPOSITORIES } from '../../protocol/hosted-api.ts';
import type { Action } from '../../registry/action.ts';
import type { Image } from '../../registry/image.ts';
import { familiarName, HOSTED, isHosted } from '../../registry/repository.ts';
import { askRole } from '../ask-role.ts';
import { type AuditedPull, auditedPulls } from './audited-pulls.ts';

/**
 * Lists the repositories that the running core has cached or hosts, and those that were pulled or pushed
 * according to the audit log.
 */
export async function knownRepositories(config: Config, paths: HomePaths): Promise<ReadonlySet<string>> {
  const names = new Set((await cachedRepositories(paths)).map(({ name }) => name));
  if (config.hosted !== undefined) for (const name of await hostedRepositories(paths)) names.add(name);
  for await (const { status, repository } of auditedPulls(config.log.audit))
    if (status < 300) names.add(repository.name);
  return names;
}

/** Returns an empty list if no core runs. */
async function cachedRepositories({ coreSocket }: HomePaths): Promise<CachedRepositories> {
  const said = await askRole(coreSocket, { method: 'GET', path: '/cache', schema: CACHED_REPOSITORIES });
  return typeof said === 'string' ? [] : said.answer;
}

async function hostedRepositories({ coreSocket }: HomePaths): Promise<readonly string[]> {
  const question = { method: 'GET', path: '/hosted-repositories', schema: HOSTED_REPOSITORIES } as const;
  const said = await askRole(coreSocket, question);
  return typeof said === 'string' ? [] : said.answer.repositories.map(({ path }) => `${HOSTED}/${path}`);
}

/**
 * The parts of a question that exist on this mirror. A policy decides about all names alike, so its answer
 * does not show what exists. A part is null if it cannot be determined.
 */
export interface KnownTarget {
  /** The repository as people write it. */
  readonly written: string;
  readonly user: boolean | null;
  readonly upstream: boolean;
  readonly tag: boolean | null;
  /** The last known visibility of the repository. */
  readonly visibility: 'public' | 'private' | 'unknown';
}

export async function findKnown(
  { repository, tag }: Image,
  subject: Subject | undefined,
  config: Config,
  paths: HomePaths,
): Promise<KnownTarget> {
  const cached = await cachedRepositories(paths);
  let hasAudit = false;
  let isAudited = false;
  if (tag !== undefined) {
    for await (const pull of auditedPulls(config.log.audit)) {
      hasAudit = true;
      if (isThere(pull) && pull.repository.name === repository.name && pull.tag === tag) isAudited = true;
    }
  }
  return {
    written: familiarName(repository, { hosted: hostedNames(config.hosted) }),
    user: await isKnownUser(subject, paths),
    upstream: isHosted(repository) || config.upstreams.some(({ host }) => host === repository.upstream),
    tag: tag === undefined || (!hasAudit && !isAudited) ? null : isAudited,
    visibility: isHosted(repository)
      ? 'private'
      : (cached.find(({ name }) => name === repository.name)?.visibility ?? 'unknown'),
  };
}

/** True for a pull that was answered, and for a push that set a tag. */
function isThere({ action, status }: AuditedPull): boolean {
  return action === 'push' ? status === 201 : action === 'pull' && status === 200;
}

/** Returns null for subjects that are not users, and if the users file cannot be read. */
async function isKnownUser(subject: Subject | undefined, { users }: HomePaths): Promise<boolean | null> {
  const name = subject && nameOf(subject);
  if (name === undefined) return null;
  const read = await readUsers(users);
  return 'value' in read ? read.value.has(name) : null;
}

/** Lists the unknown parts, each as a clause. A tag that is to be pushed may well be new. */
export function unknownIn(
  known: KnownTarget,
  { repository, tag, action }: Image & { readonly action: Action },
  subject?: Subject,
): string[] {
  return [
    ...(known.user === false && subject ? [`${formatSubject(subject)} is not in users.yaml`] : []),
    ...(known.upstream ? [] : [`${repository.upstream} is no upstream of hubgate.yaml`]),
    ...(known.tag === false && action !== 'push'
      ? [`the tag ${tag} of ${known.written} has not been pulled here`]
      : []),
  ];
}

/** Formats the clauses as `; a is not known; b is not known`; the result is empty if there are none. */
export function formatUnknown(clauses: readonly string[]): string {
  return clauses.map((clause) => `; ${clause}`).join('');
}
