import type { Mutant } from './mutant.ts';

const REFERRERS = ['test/core/pull/referrers.test.ts'];
const UNMIRRORED = ['test/core/pull/unmirrored.test.ts'];
const RANGE = ['test/gateway/range.test.ts'];
const WARM = ['test/commands/warm/warm.test.ts'];
const PULL = 'src/core/pull/pull-referrers.ts';
const MEMORY = 'src/core/pull/referrers-cache.ts';

/**
 * The defences of referrers: no image that may be signed is reported as unsigned, and no pull fails because
 * its referrers are missing.
 */
export const referrersMutants: readonly Mutant[] = [
  {
    defence: 'pages of referrers are joined in turns of the event loop',
    file: 'src/core/pull/validate-document.ts',
    find: '    await turn();\n',
    replace: '',
    tests: ['test/outside-text.test.ts'],
  },
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
    file: 'src/core/pull/referrers-tag.ts',
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
    file: 'src/core/pull/referrers-tag.ts',
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
    find: "if (page.kind === 'denied' && pages.length > 0)",
    replace: "if (page.kind === 'denied' && pages.length < 0)",
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
    file: 'src/core/upstream/judge-response.ts',
    find: 'return !redirected && absentBy.includes(statusCode)',
    replace: 'return redirected && absentBy.includes(statusCode)',
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
    file: 'src/gateway/delivery/deliver.ts',
    find: 'headers: staleness(answer.age)',
    replace: 'headers: {}',
    tests: ['test/gateway/v2.test.ts'],
  },
  {
    defence: 'a manifest that is not mirrored is no trouble of the upstream',
    file: 'src/core/upstream/read-manifest.ts',
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
    file: 'src/core/pull/revalidate-tag.ts',
    find: "if (reason === 'unsupported') return store.index.removeTag(repository.name, tag);",
    replace: "if (reason === 'unsupported') return;",
    tests: UNMIRRORED,
  },
  {
    defence: 'the type of a manifest that is not mirrored is said to the client',
    file: 'src/gateway/clients/local-core-client.ts',
    find: '{ message: unmirroredMessage(mediaType) }',
    replace: '{}',
    tests: ['test/gateway/v2.test.ts'],
  },
  {
    defence:
      'a registry in the place of the core is believed that a manifest is of a type that is not mirrored',
    file: 'src/gateway/clients/registry-core-client.ts',
    find: 'if (unmirrored !== undefined)',
    replace: "if (unmirrored === '')",
    tests: ['test/gateway/external-core.test.ts'],
  },
  {
    defence: 'the tail of a cold blob does not wait for the whole',
    file: 'src/core/pull/pull-blob.ts',
    find: 'if (!isFilling || asking.range === undefined) return outcome;',
    replace: 'if (!isFilling || asking.range !== undefined) return outcome;',
    tests: RANGE,
  },
  {
    defence: 'what comes with the fill in a moment is not asked for besides',
    file: 'src/core/pull/pull-part.ts',
    find: 'start - fill.written < BLOB_PART.beyond',
    replace: 'start < 0',
    tests: RANGE,
  },
  {
    defence: 'a large part of a blob is verified before it is sent',
    file: 'src/core/pull/pull-part.ts',
    find: 'end - start > BLOB_PART.most',
    replace: 'end < start',
    tests: RANGE,
  },
  {
    defence: 'whoever goes on with a download does not complete a wrong blob',
    file: 'src/core/pull/pull-part.ts',
    find: "if (range.endsWith('-')) return undefined;",
    replace: '',
    tests: RANGE,
  },
  {
    defence: 'another part than was asked for is not passed on',
    file: 'src/core/upstream/read-blob.ts',
    find: 'if (part?.begins !== start || (part.total ?? size) !== size)',
    replace: 'if (part?.begins === -1)',
    tests: RANGE,
  },
  {
    defence: 'ranges that overlap are ignored',
    file: 'src/registry/range.ts',
    find: 'return areApart(ranges) ? ranges : undefined;',
    replace: 'return ranges;',
    tests: RANGE,
  },
  {
    defence: 'very many ranges are ignored',
    file: 'src/registry/range.ts',
    find: 'texts.length < 2 || texts.length > MOST_RANGES',
    replace: 'texts.length < 2',
    tests: RANGE,
  },
  {
    defence: 'warm fetches the attestations of an image',
    file: 'src/commands/warm/warm-image.ts',
    find: 'return isAttestation || images.has(child.digest);',
    replace: 'return images.has(child.digest);',
    tests: WARM,
  },
  {
    defence: 'warm asks what refers to an image and to its attestations',
    file: 'src/commands/warm/warm-image.ts',
    find: ' ?? (await this.#walkReferrers())',
    replace: '',
    tests: WARM,
  },
  {
    defence: 'what warm fetches of a public image is served to everybody while the upstream is down',
    file: 'src/commands/warm/warm-image.ts',
    find: "() => this.#ask('GET', reference, !this.#isPublic),",
    replace: "() => this.#ask('GET', reference, true),",
    tests: WARM,
  },
  {
    defence: 'warm learns what refers to an image for each kind of grant',
    file: 'src/commands/warm/warm-image.ts',
    find: 'if (this.#isPublic) await ask(false);',
    replace: '',
    tests: WARM,
  },
];
