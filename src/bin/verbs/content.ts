import { type VerbGroup, verb } from '../verb.ts';

/** The verbs about what may be pulled, and about what is cached. */
export const CONTENT_VERBS: readonly VerbGroup[] = [
  {
    name: 'access',
    description: 'what the policy allows, and why',
    verbs: [
      verb({
        usage: 'explain <subject> <image>',
        description: 'why a subject may pull a repository or repository:tag, or may not (exit code 1)',
        options: ['from', 'at', 'private', 'json'],
        load: async () => {
          const { explainAccess } = await import('../../commands/access/explain.ts');
          return ({ names: [subject = '', image = ''], options, environment, terminal }) =>
            explainAccess(subject, image, options, environment, terminal);
        },
      }),
      verb({
        usage: 'who-can <image>',
        description: 'who may pull a repository or repository:tag; exit code 1: nobody',
        options: ['private', 'json'],
        load: async () => {
          const { whoCanPull } = await import('../../commands/access/who-can.ts');
          return ({ names: [image = ''], options, environment, terminal }) =>
            whoCanPull(image, options, environment, terminal);
        },
      }),
      verb({
        usage: 'test [files...]',
        description: 'run the tests of the policy, or of these files as one; exit code 1: one fails',
        options: ['json'],
        load: async () => {
          const { testAccess } = await import('../../commands/access/test.ts');
          return ({ names, options, environment, terminal }) =>
            testAccess(names, options, environment, terminal);
        },
      }),
      verb({
        usage: 'diff <edited>',
        description:
          'what an edited file, or directory, would newly allow or deny of what is in the audit log; exit code 1: something',
        options: ['all', 'json'],
        load: async () => {
          const { diffAccess } = await import('../../commands/access/diff.ts');
          return ({ names: [edited = ''], options, environment, terminal }) =>
            diffAccess(edited, options, environment, terminal);
        },
      }),
      verb({
        usage: 'unused',
        description: 'the rules that no audited pull needed',
        options: ['since', 'json'],
        load: async () => {
          const { listUnusedRules } = await import('../../commands/access/unused.ts');
          return ({ options, environment, terminal }) => listUnusedRules(options, environment, terminal);
        },
      }),
    ],
  },
  {
    name: 'cache',
    description: 'what a running mirror keeps',
    verbs: [
      verb({
        usage: 'stats',
        description: 'how much there is',
        options: ['json'],
        load: async () => {
          const { cacheStats } = await import('../../commands/cache.ts');
          return ({ options, terminal }) => cacheStats(options, terminal);
        },
      }),
      verb({
        usage: 'list',
        description: 'of which repositories',
        options: ['json'],
        load: async () => {
          const { cacheList } = await import('../../commands/cache.ts');
          return ({ options, terminal }) => cacheList(options, terminal);
        },
      }),
      verb({
        usage: 'purge <image>',
        description: 'take a repository, repository:tag or repository@digest from the cache',
        options: ['json'],
        load: async () => {
          const { cachePurge } = await import('../../commands/cache.ts');
          return ({ names: [image = ''], options, terminal }) => cachePurge(image, options, terminal);
        },
      }),
    ],
  },
];
