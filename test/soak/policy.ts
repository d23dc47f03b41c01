import type { Random } from '../crash/support/random.ts';
import type { SoakRepository } from './catalogue.ts';
import { GROUPS, type Principal } from './principals.ts';

/** A policy as the soak thinks of it. It is judged here without any code of the program. */
export interface SoakPolicy {
  /** May everybody who has logged in pull public repositories? */
  readonly base: boolean;
  readonly anonymous: ReadonlySet<string>;
  /** The groups that may pull a private repository. */
  readonly grants: ReadonlyMap<string, ReadonlySet<number>>;
  readonly denies: ReadonlyMap<string, ReadonlySet<number>>;
}

export function randomPolicy(repositories: readonly SoakRepository[], random: Random): SoakPolicy {
  const groups = (probability: number) =>
    new Set(Array.from({ length: GROUPS }, (_, group) => group).filter(() => random.chance(probability)));
  const open = repositories.filter((repository) => !repository.private);
  const closed = repositories.filter((repository) => repository.private);
  return {
    base: random.chance(0.9),
    anonymous: new Set(
      open
        .slice(0, 4)
        .map(({ path }) => path)
        .filter(() => random.chance(0.7)),
    ),
    grants: new Map(closed.map(({ path }) => [path, groups(0.5)])),
    denies: new Map(
      random
        .shuffle(repositories)
        .slice(0, 4)
        .map(({ path }) => [path, groups(0.2)]),
    ),
  };
}

export function permits(
  policy: SoakPolicy,
  principal: Pick<Principal, 'kind' | 'group'>,
  repository: SoakRepository,
): boolean {
  const { path } = repository;
  if (principal.kind === 'anonymous') return policy.anonymous.has(path) && !repository.private;
  if (policy.denies.get(path)?.has(principal.group)) return false;
  if (repository.private) return policy.grants.get(path)?.has(principal.group) ?? false;
  return policy.base || policy.anonymous.has(path);
}

/** Formats the policy as access.yaml. */
export function policyText(policy: SoakPolicy, principals: readonly Principal[]): string {
  const groups = Array.from({ length: GROUPS }, (_, group) => {
    const members = principals.filter((one) => one.kind !== 'anonymous' && one.group === group);
    return `  g${group}: [${members.map(({ subject }) => JSON.stringify(subject)).join(', ')}]`;
  });
  const to = (set: ReadonlySet<number>) => `[${[...set].map((group) => `group:g${group}`).join(', ')}]`;
  const named = (rules: ReadonlyMap<string, ReadonlySet<number>>) =>
    [...rules].filter(([, set]) => set.size > 0);
  const allows = [
    ...(policy.base ? ['{ id: base, pull: library/**, to: authenticated }'] : []),
    ...[...policy.anonymous].flatMap((path) => [
      `{ pull: ${path}, to: anonymous }`,
      `{ pull: ${path}, to: authenticated }`,
    ]),
    ...named(policy.grants).map(([path, set]) => `{ pull: ${path}, to: ${to(set)}, private: true }`),
    '{ id: nobody, pull: library/nothing, to: authenticated }',
  ];
  const denies = named(policy.denies).map(([path, set]) => `{ pull: ${path}, to: ${to(set)} }`);
  return [
    'version: 1',
    'groups:',
    ...groups,
    'allow:',
    ...allows.map((rule) => `  - ${rule}`),
    ...(denies.length > 0 ? ['deny:', ...denies.map((rule) => `  - ${rule}`)] : []),
    '...',
    '',
  ].join('\n');
}
