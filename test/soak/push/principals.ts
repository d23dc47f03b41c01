import type { RunningHubgate } from '../../e2e/support/hubgate.ts';
import { PushClient, type PushClientOptions } from './client.ts';
import { KEPT_TAGS } from './end.ts';
import { SMALL } from './operator.ts';
import type { RepositoryRules } from './oracle.ts';

const TAGS = ['latest', 't1', 't2', 't3', 'stable', 'v1', 'v2', 'v3', 'v4', 'v5', 'v6'];
const RETAINED_TAGS = Array.from({ length: 8 }, (_, at) => `pr-${at}`);

const rules = (name: string, given: Partial<RepositoryRules> = {}): RepositoryRules => {
  return { name, tags: TAGS, hasQuota: false, collectsUntagged: true, ...given };
};

/** The repositories. Only `release` knows those of `vault`. */
export const REPOSITORIES: readonly RepositoryRules[] = [
  ...['soak/a', 'soak/b', 'soak/c', 'soak/deep/d'].map((name) => rules(name)),
  ...['ci/a', 'ci/b'].map((name) => rules(name, { tags: [...RETAINED_TAGS, ...TAGS] })),
  rules(`${SMALL.name}/a`, { hasQuota: true }),
  rules('keep/a', { collectsUntagged: false }),
  rules('vault/a'),
];

const isSecret = (name: string) => name.startsWith('vault/');

export const OPEN_REPOSITORIES = REPOSITORIES.filter(({ name }) => !isSecret(name));

/** The part of the configuration about hosted repositories. */
export const HOSTED_CONFIGURATION = `
hosted:
  namespaces:
    "soak/**": { immutableTags: ["v*"], retention: { untaggedAfter: 1s } }
    "ci/**": { immutableTags: ["v*"], retention: { untaggedAfter: 1s, keepLast: ${KEPT_TAGS}, tags: ["pr-*"] } }
    "${SMALL.name}/**": { immutableTags: ["v*"], quota: ${SMALL.quota / 2 ** 20}MiB, retention: { untaggedAfter: 1s } }
    "keep/**": { immutableTags: ["v*"] }
    "vault/**": { immutableTags: ["v*"], retention: { untaggedAfter: 1s } }
`;

const OPEN = '["soak/**", "ci/**", "small/**", "keep/**"]';

export const PUSH_POLICY = `allow:
  - { id: builds, push: ${OPEN}, to: [build-1, build-2, build-3, release] }
  - { id: secret, push: vault/**, to: release }
  - { id: deletes, delete: ${OPEN}, to: release }
  - { id: deletes-secret, delete: vault/**, to: release }
  - { id: readers, pull: ${OPEN}, to: [reader-1, reader-2] }`;

const ACTIONS = {
  'build-1': 'pull,push',
  'build-2': 'pull,push',
  'build-3': 'pull,push',
  release: 'pull,push,delete',
  'reader-1': 'pull',
  'reader-2': 'pull',
  outsider: 'pull,push,delete',
} as const;
type Name = keyof typeof ACTIONS;

/** Creates the services, their tokens and their clients. */
export async function createClients(
  hubgate: RunningHubgate,
  common: Omit<PushClientOptions, 'name' | 'secret' | 'actions'>,
): Promise<Readonly<Record<Name, PushClient>>> {
  const clients: [string, PushClient][] = [];
  for (const [name, actions] of Object.entries(ACTIONS)) {
    await hubgate.run('user', 'add', name, '--service');
    const created = await hubgate.run('token', 'create', name, '--expires', '1d', '--json');
    clients.push([name, new PushClient({ ...common, name, secret: JSON.parse(created).token, actions })]);
  }
  return Object.fromEntries(clients) as Record<Name, PushClient>;
}

export function mayPull({ name }: PushClient, repository: string): boolean {
  return name === 'release' || (name !== 'outsider' && !isSecret(repository));
}
