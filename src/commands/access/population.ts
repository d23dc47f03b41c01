import { exampleOf } from '../../access/pattern-example.ts';
import { isHostedPattern } from '../../access/pattern-text.ts';
import type { Policy } from '../../access/policy.ts';
import type { ReadPolicy } from '../../access/policy-file.ts';
import type { Population, RecordedPull } from '../../access/replay.ts';
import {
  ANONYMOUS,
  formatSubject,
  groupNameOf,
  isName,
  nameOf,
  parseSubject,
  type Subject,
} from '../../access/subject.ts';
import { subjectOfPerson, subjectOfUser } from '../../auth/identity/user-subject.ts';
import type { User } from '../../auth/identity/users-file.ts';
import { addressIn } from '../../platform/network.ts';
import { parseTag } from '../../registry/reference.ts';
import { parseRepositoryName, type Repository } from '../../registry/repository.ts';
import type { PeopleGroups } from './people-groups.ts';

/** Stands for everybody who has logged in and whom no policy names. */
const ANYBODY_ELSE: Subject = { kind: 'user', name: '(anybody else)' };

interface Everything {
  readonly policies: readonly ReadPolicy[];
  readonly users: Iterable<User>;
  readonly people: PeopleGroups;
  readonly pulls: readonly RecordedPull[];
  readonly repositories: Iterable<string>;
}

/** Stands for those in a group of a directory who have not logged in yet. */
function newMemberOf(group: string): Subject {
  return { kind: 'user', name: `(somebody in ${group})` };
}

/**
 * Returns everybody and everything that is known. The subjects are the users, the people of directories,
 * those that the policies name, and those who have pulled. The repositories are those that are cached, that
 * were pulled, that a policy names in full, or that its tests ask for. Each subject asks from every network
 * that a policy names, and from outside them.
 */
export function everythingKnown({ policies, users, people, pulls, repositories }: Everything): Population {
  const named = policies.flatMap(({ policy }) => namedIn(policy));
  const subjects = new Map<string, Subject>();
  for (const subject of [
    ANONYMOUS,
    ANYBODY_ELSE,
    ...[...users].map(subjectOfUser),
    ...[...people.names].map(subjectOfPerson),
    ...pulls.map(({ subject }) => subject),
  ])
    subjects.set(formatSubject(subject), subject);
  for (const text of named) {
    const isKnown = isName(text) && (subjects.has(`user:${text}`) || subjects.has(`service:${text}`));
    const subject: Subject | undefined = isName(text) ? { kind: 'user', name: text } : parseSubject(text);
    if (subject !== undefined && !isKnown) subjects.set(formatSubject(subject), subject);
  }
  const from = policies.flatMap(({ policy: { rules, limits } }) =>
    [...rules, ...limits.limits].flatMap(({ data }) => data.from ?? []),
  );
  const addresses = ['', ...new Set(from.map(addressIn)), ...new Set(pulls.map(({ address }) => address))];
  const targets = targetsOf(policies, pulls, repositories);
  const known = new Set([...targets].map(({ repository }) => repository.name));
  const ownOf = ownTargets(policies);
  const groupsOf = new Map([...people.named].map((group) => [newMemberOf(group), [group]]));
  return {
    subjects: [...subjects.values(), ...groupsOf.keys()].map((subject) => {
      const own = ownOf(subject).filter(({ repository }) => !known.has(repository.name));
      return { subject, addresses, groups: groupsOf.get(subject) ?? people.of(subject), own };
    }),
    targets,
  };
}

/**
 * Returns the hosted repositories that `${user}` in a rule means for a subject. Nobody may have pushed to
 * them yet.
 */
function ownTargets(policies: readonly ReadPolicy[]) {
  const all = policies.flatMap(({ policy }) => policy.data.rules).flatMap(({ pull }) => pull);
  const patterns = new Set(all.filter((one) => isHostedPattern(one) && one.includes('${user}')));
  return (subject: Subject): readonly { readonly repository: Repository }[] => {
    const name = nameOf(subject);
    if (name === undefined) return [];
    return [...patterns].flatMap((pattern) => {
      const repository = parseRepositoryName(exampleOf(pattern, name));
      return repository === undefined ? [] : [{ repository }];
    });
  };
}

/**
 * Returns the subjects that the files name. A pattern such as `cert:prod-*` represents all subjects that it
 * matches.
 */
function namedIn({ data }: Policy): string[] {
  const { rules, limits = [], reserves = [] } = data;
  const inRules = [...rules, ...limits].flatMap(({ to }) => to);
  const others = [...limits.flatMap(({ except = [] }) => except), ...reserves.flatMap((one) => one.for)];
  return [...inRules, ...others, ...Object.values(data.groups).flat()].filter(
    (text) => text !== 'authenticated' && groupNameOf(text) === undefined,
  );
}

function targetsOf(
  policies: readonly ReadPolicy[],
  pulls: readonly RecordedPull[],
  cached: Iterable<string>,
): Population['targets'] {
  const rules = policies.flatMap(({ policy }) => policy.data.rules);
  const literal = rules.flatMap(({ pull }) => pull.filter((pattern) => !/[*$]/.test(pattern)));
  // Nobody may have pushed yet to what a rule is about.
  const hosted = rules.flatMap(({ pull }) =>
    pull.filter(isHostedPattern).map((pattern) => exampleOf(pattern)),
  );
  const repositories = new Map<string, Repository>();
  for (const name of [...cached, ...literal, ...hosted]) {
    const repository = parseRepositoryName(name);
    if (repository !== undefined) repositories.set(repository.name, repository);
  }
  const asked = [...pulls, ...policies.flatMap(({ tests }) => tests.map(({ image }) => image))];
  for (const { repository } of asked) repositories.set(repository.name, repository);
  const tags = new Set(
    rules.flatMap((rule) => rule.tags ?? []).flatMap((tag) => parseTag(tag.replaceAll('*', 'x')) ?? []),
  );
  const targets = new Map<string, { repository: Repository; tag?: ReturnType<typeof parseTag> & string }>();
  for (const repository of repositories.values()) {
    targets.set(repository.name, { repository });
    for (const tag of tags) targets.set(`${repository.name}:${tag}`, { repository, tag });
  }
  for (const { repository, tag } of asked)
    if (tag !== undefined) targets.set(`${repository.name}:${tag}`, { repository, tag });
  return [...targets.values()];
}
