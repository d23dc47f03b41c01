import type { Mutant } from './mutant.ts';

const PUSH = ['test/core/hosted/push.test.ts'];
const TAGS = ['test/core/hosted/tags.test.ts'];
const LIMITS = ['test/core/hosted/limits.test.ts'];
const MANIFESTS = 'src/core/hosted/push-manifest.ts';

/** The defences of hosted repositories: what is accepted, whose it is, and that it stays. */
export const hostedMutants: readonly Mutant[] = [
  {
    defence: 'the bytes of an upload are compared with their digest',
    file: 'src/core/hosted/push-blob.ts',
    find: 'if (!(await upload.matches(digest))) {',
    replace: 'if (digest === undefined) {',
    tests: PUSH,
  },
  {
    defence: 'an upload belongs to its subject',
    file: 'src/core/hosted/uploads.ts',
    find: 'upload?.repository === repository && upload.subjectKey === subjectKey',
    replace: 'upload?.repository === repository',
    tests: PUSH,
  },
  {
    defence: 'an upload belongs to its repository',
    file: 'src/core/hosted/uploads.ts',
    find: 'const isOwn = upload?.repository === repository &&',
    replace: 'const isOwn = upload !== undefined &&',
    tests: PUSH,
  },
  {
    defence: 'a chunk begins where the last one ended',
    file: 'src/core/hosted/upload.ts',
    find: "if (range.first !== this.#offset) return refuseWrite('UPLOAD_OUT_OF_ORDER');",
    replace: '',
    tests: PUSH,
  },
  {
    defence: 'a chunk has the length of its range',
    file: 'src/core/hosted/upload.ts',
    find: 'const isWhole = length === range.last - range.first + 1;',
    replace: 'const isWhole = length !== undefined;',
    tests: PUSH,
  },
  {
    defence: 'a mounted blob must be in the other repository',
    file: 'src/core/hosted/push-blob.ts',
    find: 'if (blob === undefined) return undefined;',
    replace: '',
    tests: PUSH,
  },
  {
    defence: 'a manifest names only what its repository has',
    file: MANIFESTS,
    find: 'if (missing !== undefined)',
    replace: "if (missing === ('' as Digest))",
    tests: PUSH,
  },
  {
    defence: 'a manifest that is pushed by digest has that digest',
    file: MANIFESTS,
    find: "if (reference.kind === 'digest' && digestOf(bytes, digest) !== digest)",
    replace: "if (reference.kind === 'digest' && bytes.length < 0)",
    tests: PUSH,
  },
  {
    defence: 'an immutable tag is not moved',
    file: MANIFESTS,
    find: 'if (before !== undefined) requireMovable(repository, tag, before, namespaces);',
    replace: '',
    tests: TAGS,
  },
  {
    defence: 'the tags of signatures are never immutable',
    file: 'src/core/hosted/tag-pattern.ts',
    find: '!REFERRER_TAG.test(tag) && ',
    replace: '',
    tests: TAGS,
  },
  {
    defence: 'an immutable tag is not deleted',
    file: 'src/core/hosted/remove.ts',
    find: 'requireMovable(repository, tag, before, namespaces);',
    replace: '',
    tests: TAGS,
  },
  {
    defence: 'a refused push changes nothing',
    file: 'src/core/hosted/hosted-database.ts',
    find: "database?.exec('ROLLBACK TO one');",
    replace: '',
    tests: TAGS,
  },
  {
    defence: 'a blob that a manifest needs is not deleted',
    file: 'src/core/hosted/remove.ts',
    find: 'if (parent !== undefined)',
    replace: "if (parent === ('' as Digest))",
    tests: TAGS,
  },
  {
    defence: 'a page of referrers has a bounded size',
    file: 'src/core/hosted/hosted-pull.ts',
    find: 'if (manifests.length === REFERRERS_AT_ONCE || size > MAX_REFERRERS_PAGE) break;',
    replace: 'if (manifests.length === 2) break;',
    tests: TAGS,
  },
  {
    defence: 'the uploads of one subject are bounded',
    file: 'src/core/hosted/uploads.ts',
    find: ' || all.filter((one) => one.subjectKey === subjectKey).length >= openPerSubject',
    replace: '',
    tests: LIMITS,
  },
  {
    defence: 'the uploads of all subjects are bounded',
    file: 'src/core/hosted/uploads.ts',
    find: 'all.length >= open ||',
    replace: '',
    tests: LIMITS,
  },
  {
    defence: 'an abandoned upload is removed',
    file: 'src/core/hosted/uploads.ts',
    find: 'upload.touchedAt < now - limits.idle && !upload.isBusy',
    replace: 'upload.touchedAt < 0',
    tests: LIMITS,
  },
  {
    defence: 'a blob has a largest size',
    file: 'src/core/hosted/upload.ts',
    find: 'if (total > maxBlob)',
    replace: 'if (total < 0)',
    tests: LIMITS,
  },
  {
    defence: 'uploads under way count on the quota',
    file: 'src/core/hosted/quota.ts',
    find: 'stored + (this.#reserved.get(namespace) ?? 0)',
    replace: 'stored',
    tests: LIMITS,
  },
  {
    defence: 'what is stored counts on the quota',
    file: 'src/core/hosted/quota.ts',
    find: 'select.used.get(name)?.bytes ?? 0',
    replace: '0',
    tests: LIMITS,
  },
  {
    defence: 'an ended upload gives its quota back',
    file: 'src/core/hosted/uploads.ts',
    find: 'this.#options.quotas.release(upload.repository, upload.takeReserved());',
    replace: '',
    tests: LIMITS,
  },
  {
    defence: 'the database of hosted repositories is not begun anew',
    file: 'src/core/hosted/hosted-database.ts',
    find: 'if (found === 0 && version !== undefined)',
    replace: 'if (found < 0)',
    tests: LIMITS,
  },
];
