import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { RunningMirror } from '../support/running-mirror.ts';
import { assertConforms, HOSTED, NOT_OFFERED, POLICY, REPOSITORIES, targetOf } from './support/conforming.ts';
import { runSuite, type SuiteTarget } from './support/suite.ts';

let mirror: RunningMirror;
let target: SuiteTarget;

before(async () => {
  mirror = await RunningMirror.start({ config: HOSTED, policy: POLICY });
  target = await targetOf(mirror);
});

after(() => mirror?.[Symbol.asyncDispose]());

for (const [title, variables] of [
  ['version 1.1', { OCI_VERSION: '1.1' }],
  ['the next version', { OCI_VERSION: 'dev' }],
  ['a new token for every request', { OCI_VERSION: 'dev', OCI_CACHE_AUTH: 'false' }],
] as const)
  test(`a hosted repository conforms: ${title}`, async (t) => {
    assertConforms(t, await runSuite(target, { ...REPOSITORIES, ...NOT_OFFERED, ...variables }));
  });

test('what another Hubgate hosts conforms when it is pulled through the cache', async (t) => {
  // The suite itself pushes the content, and leaves it.
  const pushed = await runSuite(target, { ...REPOSITORIES, ...NOT_OFFERED, ...WITHOUT_DELETES });
  assert.equal(pushed.failed, 0);
  const content = await contentOf(mirror, 'conformance/one');
  await using cache = await RunningMirror.start({
    config: cacheOf(mirror, target),
    policy: POLICY.replaceAll(/.*conformance.*\n/g, ''),
  });
  const results = await runSuite(await targetOf(cache), {
    ...{ OCI_REPO1: 'origin.test/conformance/one', OCI_REPO2: 'origin.test/conformance/two' },
    ...{ OCI_VERSION: '1.1', OCI_API_PUSH: 'false', ...WITHOUT_DELETES },
    ...{ OCI_RO_DATA_TAGS: content.tags.join(' '), OCI_RO_DATA_MANIFESTS: content.manifests.join(' ') },
    ...{ OCI_RO_DATA_BLOBS: content.blobs.join(' '), OCI_RO_DATA_REFERRERS: content.subjects.join(' ') },
  });
  assertConforms(t, results);
});

const WITHOUT_DELETES = {
  ...{ OCI_API_TAGS_DELETE: 'false', OCI_API_MANIFESTS_DELETE: 'false', OCI_API_BLOBS_DELETE: 'false' },
};

/** The configuration of a Hubgate that mirrors another one. */
function cacheOf({ port, home }: RunningMirror, { username, password }: SuiteTarget): string {
  return `upstreams:
  origin.test:
    url: https://localhost:${port}
    ca: ${home}/certs/ca.crt
    username: ${username}
    password: ${password}
`;
}

interface RepositoryContent {
  readonly tags: readonly string[];
  readonly manifests: readonly string[];
  readonly blobs: readonly string[];
  readonly subjects: readonly string[];
}

/** Returns what a repository has, as far as its tags lead. */
async function contentOf(running: RunningMirror, repository: string): Promise<RepositoryContent> {
  const authorization = `Basic ${Buffer.from(`${target.username}:${target.password}`).toString('base64')}`;
  const read = async (resource: string) => {
    const { status, headers, body } = await running.ask(`/v2/${repository}/${resource}`, {
      headers: { authorization },
    });
    assert.equal(status, 200, `${resource}: ${body}`);
    return { digest: String(headers['docker-content-digest']), document: JSON.parse(body.toString()) };
  };
  const { tags } = (await read('tags/list')).document;
  const [manifests, blobs, subjects] = [new Set<string>(), new Set<string>(), new Set<string>()];
  const follow = async (reference: string): Promise<void> => {
    const { digest, document } = await read(`manifests/${reference}`);
    if (manifests.has(digest)) return;
    manifests.add(digest);
    if (document.subject !== undefined) subjects.add(document.subject.digest);
    for (const blob of [document.config, ...(document.layers ?? [])])
      if (blob !== undefined && !/nondistributable/.test(blob.mediaType)) blobs.add(blob.digest);
    for (const child of document.manifests ?? []) await follow(child.digest);
  };
  for (const tag of tags) await follow(tag);
  assert.ok(tags.length > 0 && blobs.size > 0 && subjects.size > 0);
  return { tags, manifests: [...manifests], blobs: [...blobs], subjects: [...subjects] };
}
