import type { Mutant } from './mutant.ts';

const REFERRERS = ['test/core/pull/referrers.test.ts'];
const UNMIRRORED = ['test/core/pull/unmirrored.test.ts'];
const PULL = 'src/core/pull/pull-referrers.ts';
const MEMORY = 'src/core/pull/referrers-memory.ts';

/** The defences of what refers to a manifest: nothing is called unsigned that may be signed, and no pull fails for want of it. */
export const referrersMutants: readonly Mutant[] = [
  {
    defence: 'the last list of referrers stands in for an upstream that cannot be asked',
    file: PULL,
    find: 'if (stale?.bytes !== undefined)',
    replace: 'if (stale?.bytes === null)',
    tests: REFERRERS,
  },
  {
    defence: 'what was said of referrers stands in no longer than cache.staleIfError',
    file: MEMORY,
    find: "judgeFreshness(entry.readAt, clock(), rules) === 'expired'",
    replace: "judgeFreshness(entry.readAt, clock(), rules) === 'fresh'",
    tests: REFERRERS,
  },
  {
    defence: 'that there is no tag of referrers is known while the upstream cannot be asked',
    file: 'src/core/pull/pull-manifest.ts',
    find: 'if (stale !== undefined) return { ...none, age: stale.age };',
    replace: '',
    tests: REFERRERS,
  },
  {
    defence: 'an image of which nobody has asked is not called unsigned',
    file: MEMORY,
    find: 'return bytes !== undefined && isAttestation(bytes);',
    replace: 'return bytes !== undefined;',
    tests: REFERRERS,
  },
  {
    defence: 'docker goes on without the referrers of an attestation',
    file: MEMORY,
    find: 'return bytes !== undefined && isAttestation(bytes);',
    replace: 'return false;',
    tests: REFERRERS,
  },
  {
    defence: 'that there was no such tag does not come back when there is one',
    file: 'src/core/pull/pull-manifest.ts',
    find: 'await referrers.remove(repository, `manifests/${tag}`, grant);',
    replace: '{}',
    tests: REFERRERS,
  },
  {
    defence: 'all pages of referrers are asked for',
    file: PULL,
    find: "query = nextQuery(page.value.link ?? '');",
    replace: 'query = undefined;',
    tests: REFERRERS,
  },
  {
    defence: 'a part of the pages is no answer',
    file: PULL,
    find: "if (page.kind === 'no' && pages.length > 0)",
    replace: "if (page.kind === 'no' && pages.length < 0)",
    tests: REFERRERS,
  },
  {
    defence: 'pages of referrers have an end',
    file: PULL,
    find: 'if (pages.length === MAX_REFERRERS_PAGES)',
    replace: 'if (pages.length < 0)',
    tests: REFERRERS,
  },
  {
    defence: 'pages of referrers are no larger than a document together',
    file: PULL,
    find: 'if (left < 0)',
    replace: 'if (left > MAX_DOCUMENT_SIZE)',
    tests: REFERRERS,
  },
  {
    defence: 'an upstream that has no endpoint for referrers is no trouble, whatever its status',
    file: 'src/core/upstream/upstreams.ts',
    find: 'return !redirected && absentBy.includes(statusCode) ? 404 : statusCode;',
    replace: 'return redirected && absentBy.includes(statusCode) ? 404 : statusCode;',
    tests: REFERRERS,
  },
  {
    defence: 'names that nobody has do not fill the index',
    file: 'src/core/store/sqlite-index.ts',
    find: 'if (bytes.length > 0) change.addRepository',
    replace: 'change.addRepository',
    tests: REFERRERS,
  },
  {
    defence: 'lists of tags do not push out what is known of referrers',
    file: 'src/core/store/sqlite-statements.ts',
    find: "WHERE name = ?1) AND (resource LIKE 'tags/%') = ?3\n    AND",
    replace: 'WHERE name = ?1) AND ?3 = ?3\n    AND',
    tests: ['test/core/store/store.test.ts'],
  },
  {
    defence: 'a 404 out of the cache says that it is stale',
    file: 'src/gateway/handover/deliver.ts',
    find: 'headers: staleness(answer.age)',
    replace: 'headers: {}',
    tests: ['test/gateway/v2.test.ts'],
  },
  {
    defence: 'a manifest that is not mirrored is no trouble of the upstream',
    file: 'src/core/upstream/registry-client.ts',
    find: 'if (mediaType !== undefined) return {',
    replace: "if (mediaType === '') return {",
    tests: UNMIRRORED,
  },
  {
    defence: 'that a manifest is not mirrored is remembered',
    file: 'src/core/upstream/refusals.ts',
    find: 'else refusals.set(resource, answer,',
    replace: "else if (answer.reason === 'not-found') refusals.set(resource, answer,",
    tests: UNMIRRORED,
  },
  {
    defence: 'a page of HTML is no manifest that is not mirrored',
    file: 'src/registry/media-type.ts',
    find: "OWN_TYPE.test(essence) && essence.includes('manifest')",
    replace: "essence !== ''",
    tests: UNMIRRORED,
  },
  {
    defence: 'a tag that names what is not mirrored is not what it was',
    file: 'src/core/pull/pull-manifest.ts',
    find: "if (reason === 'unsupported') return store.index.removeTag(repository.name, tag);",
    replace: "if (reason === 'unsupported') return;",
    tests: UNMIRRORED,
  },
  {
    defence: 'the type of a manifest that is not mirrored is said to the client',
    file: 'src/gateway/handover/builtin-core.ts',
    find: '{ message: unmirroredMessage(mediaType) }',
    replace: '{}',
    tests: ['test/gateway/v2.test.ts'],
  },
  {
    defence:
      'a registry in the place of the core is believed that a manifest is of a type that is not mirrored',
    file: 'src/gateway/handover/external-core.ts',
    find: 'if (unmirrored !== undefined)',
    replace: "if (unmirrored === '')",
    tests: ['test/gateway/external-core.test.ts'],
  },
];
