import type { Mutant } from './mutant.ts';

const SHARED = ['test/core/pull/shared-download.test.ts'];
const JUDGED = ['test/core/pull/judged-manifests.test.ts'];

/** The defences of what is pulled: whose answer counts for whom, and what is served as what. */
export const pullMutants: readonly Mutant[] = [
  {
    defence: 'a refusal belongs to the repository that it was asked for',
    file: 'src/core/pull/download.ts',
    find: 'const running = this.#openings.get(repository);',
    replace: 'const running = [...this.#openings.values()][0];',
    tests: SHARED,
  },
  {
    defence: 'a fill that its repository refuses is interrupted, and not failed',
    file: 'src/core/pull/fill.ts',
    find: 'error instanceof RepositoryRefused ||',
    replace: '',
    tests: SHARED,
  },
  {
    defence: 'what a fill has left stays where another repository says no',
    file: 'src/core/pull/download.ts',
    find: "kind !== 'no' || (await this.#options.isLinked())",
    replace: "kind !== 'no'",
    tests: SHARED,
  },
  {
    defence: 'stored content is sent as a manifest only after it was judged as one of that type',
    file: 'src/core/pull/judged-manifests.ts',
    find: 'const isJudged = found.manifestType === mediaType;',
    replace: 'const isJudged = true;',
    tests: JUDGED,
  },
  {
    defence: 'stored content that is too large for a manifest is not read as one',
    file: 'src/core/pull/judged-manifests.ts',
    find: "if (found.size > MAX_DOCUMENT_SIZE) return { kind: 'unfit', why: 'larger than 4 MiB' };",
    replace: "if (found.size > MAX_DOCUMENT_SIZE) return { kind: 'fit', bytes: Buffer.alloc(0) };",
    tests: JUDGED,
  },
  {
    defence: 'an upstream that names something too large for a manifest is not believed',
    file: 'src/core/pull/pull-manifest.ts',
    find: "if (size > MAX_DOCUMENT_SIZE) return this.#refuse(repository, digest, 'larger than 4 MiB');",
    replace: '',
    tests: JUDGED,
  },
  {
    defence: 'a manifest is published only if the digests that it names can be read',
    file: 'src/core/pull/manifest-document.ts',
    find: "digest === undefined || typeof digest === 'string'",
    replace: 'digest !== null',
    tests: JUDGED,
  },
  {
    defence: 'a list of tags is one before it is sent',
    file: 'src/core/pull/pull-document.ts',
    find: 'resource, grant, unfitTags);',
    replace: 'resource, grant, () => undefined);',
    tests: JUDGED,
  },
  {
    defence: 'an answer to a question for referrers is an index before it is sent as one',
    file: 'src/core/pull/pull-document.ts',
    find: 'grant, unfitReferrers);',
    replace: 'grant, () => undefined);',
    tests: JUDGED,
  },
  {
    defence: 'a list of tags that is none is trouble of the registry, and no failure of the gateway',
    file: 'src/gateway/routes/permitted-tags.ts',
    find: 'if (!read.success) return undefined;',
    replace: "if (!read.success) throw new Error('no list');",
    tests: ['test/gateway/external-core.test.ts'],
  },
];
