import { type VerbGroup, verb } from '../verb.ts';

/** The verbs about what may be pulled, and about what is cached. */
export const CONTENT_VERBS: readonly VerbGroup[] = [
  {
    name: 'access',
    description: 'ask and test the policy',
    verbs: [
      verb({
        usage: 'explain <subject> <image>',
        description:
          'say why a subject may pull, push or delete a repository or repository:tag; exit code 1 if it may not',
        options: ['action', 'from', 'at', 'group', 'private', 'json'],
        load: async () => {
          const { explainAccess } = await import('../../commands/access/explain.ts');
          return ({ names: [subject = '', image = ''], options, environment, terminal }) =>
            explainAccess(subject, image, options, environment, terminal);
        },
      }),
      verb({
        usage: 'who-can <image>',
        description:
          'list who may pull, push or delete a repository or repository:tag; exit code 1 if nobody may',
        options: ['action', 'private', 'json'],
        load: async () => {
          const { whoCanPull } = await import('../../commands/access/who-can.ts');
          return ({ names: [image = ''], options, environment, terminal }) =>
            whoCanPull(image, options, environment, terminal);
        },
      }),
      verb({
        usage: 'test [files...]',
        description: 'run the tests of the policy, or of these files as one policy; exit code 1 if one fails',
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
          'say what an edited file or directory would newly allow or deny, of all pulls in the audit log; exit code 1 if anything',
        options: ['all', 'json'],
        load: async () => {
          const { diffAccess } = await import('../../commands/access/diff.ts');
          return ({ names: [edited = ''], options, environment, terminal }) =>
            diffAccess(edited, options, environment, terminal);
        },
      }),
      verb({
        usage: 'unused',
        description: 'list the rules that no audited pull needed',
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
    description: 'the cache of a running mirror',
    verbs: [
      verb({
        usage: 'stats',
        description: 'print how much is cached',
        options: ['json'],
        load: async () => {
          const { cacheStats } = await import('../../commands/cache.ts');
          return ({ options, terminal }) => cacheStats(options, terminal);
        },
      }),
      verb({
        usage: 'list',
        description: 'list the repositories with cached content',
        options: ['json'],
        load: async () => {
          const { cacheList } = await import('../../commands/cache.ts');
          return ({ options, terminal }) => cacheList(options, terminal);
        },
      }),
      verb({
        usage: 'purge <image>',
        description: 'remove a repository, repository:tag or repository@digest from the cache',
        options: ['json'],
        load: async () => {
          const { cachePurge } = await import('../../commands/cache.ts');
          return ({ names: [image = ''], options, terminal }) => cachePurge(image, options, terminal);
        },
      }),
    ],
  },
  {
    name: 'cluster',
    description: 'the nodes that work as one',
    verbs: [
      verb({
        usage: 'status',
        description: 'list the nodes, what they have, and what they share; exit code 1 if one is not alive',
        options: ['json'],
        load: async () => {
          const { clusterStatus } = await import('../../commands/cluster/status.ts');
          return ({ options, environment, terminal }) => clusterStatus(options, environment, terminal);
        },
      }),
      verb({
        usage: 'drain',
        description: 'let the balancer send new clients to other nodes than this one',
        options: [],
        load: async () => {
          const { clusterDrain } = await import('../../commands/cluster/manage.ts');
          return ({ options, environment, terminal }) => clusterDrain(options, environment, terminal);
        },
      }),
      verb({
        usage: 'forget <node>',
        description: 'remove a node that will not come back',
        options: [],
        load: async () => {
          const { clusterForget } = await import('../../commands/cluster/manage.ts');
          return ({ names: [node = ''], options, environment, terminal }) =>
            clusterForget(node, options, environment, terminal);
        },
      }),
      verb({
        usage: 'import',
        description:
          'copy the tokens, logins, certificates and hosted repositories of this home into the cluster',
        options: [],
        load: async () => {
          const { clusterTransfer } = await import('../../commands/cluster/manage.ts');
          return ({ options, environment, terminal }) =>
            clusterTransfer('import', options, environment, terminal);
        },
      }),
      verb({
        usage: 'export',
        description:
          'copy the tokens, logins, certificates and hosted repositories of the cluster into this home',
        options: [],
        load: async () => {
          const { clusterTransfer } = await import('../../commands/cluster/manage.ts');
          return ({ options, environment, terminal }) =>
            clusterTransfer('export', options, environment, terminal);
        },
      }),
      verb({
        usage: 'backup',
        description:
          'look at the database of the cluster, and print the commands that back it up and restore it',
        options: ['json'],
        load: async () => {
          const { clusterBackup } = await import('../../commands/cluster/backup.ts');
          return ({ options, environment, terminal }) => clusterBackup(options, environment, terminal);
        },
      }),
    ],
  },
  {
    name: 'hosted',
    description: 'the hosted repositories of a running mirror',
    verbs: [
      verb({
        usage: 'list',
        description: 'list the hosted repositories, and what each namespace takes of its quota',
        options: ['json'],
        load: async () => {
          const { hostedList } = await import('../../commands/hosted.ts');
          return ({ options, terminal }) => hostedList(options, terminal);
        },
      }),
      verb({
        usage: 'tags <image>',
        description: 'list the tags of a repository, or who changed one tag (repository:tag) and when',
        options: ['json'],
        load: async () => {
          const { hostedTags } = await import('../../commands/hosted.ts');
          return ({ names: [image = ''], options, terminal }) => hostedTags(image, options, terminal);
        },
      }),
      verb({
        usage: 'restore-tag <image>',
        description: 'undo the last change of a tag (repository:tag), immutable or not',
        options: ['json'],
        load: async () => {
          const { hostedRestoreTag } = await import('../../commands/hosted-changes.ts');
          return ({ names: [image = ''], options, environment, terminal }) =>
            hostedRestoreTag(image, options, environment, terminal);
        },
      }),
      verb({
        usage: 'delete <image>',
        description: 'delete a tag (repository:tag), or a digest (repository@digest) with its tags',
        options: ['force', 'json'],
        load: async () => {
          const { hostedDelete } = await import('../../commands/hosted-changes.ts');
          return ({ names: [image = ''], options, environment, terminal }) =>
            hostedDelete(image, options, environment, terminal);
        },
      }),
      verb({
        usage: 'gc',
        description: 'remove now what nothing needs, which the core also does by itself',
        options: ['dryRun', 'json'],
        load: async () => {
          const { hostedGc } = await import('../../commands/hosted.ts');
          return ({ options, terminal }) => hostedGc(options, terminal);
        },
      }),
      verb({
        usage: 'verify',
        description: 'read everything that is hosted, and compare it with its digests',
        options: ['json'],
        load: async () => {
          const { hostedVerify } = await import('../../commands/hosted-backup.ts');
          return ({ options, terminal }) => hostedVerify(options, terminal);
        },
      }),
      verb({
        usage: 'backup <directory>',
        description: 'copy what is hosted into a new directory, while pulls and pushes go on',
        options: ['json'],
        load: async () => {
          const { hostedBackup } = await import('../../commands/hosted-backup.ts');
          return ({ names: [directory = ''], options, terminal }) =>
            hostedBackup(directory, options, terminal);
        },
      }),
      verb({
        usage: 'restore <directory>',
        description:
          'copy a backup into the empty directory of `hosted`, and verify it; the mirror is stopped',
        options: ['json'],
        load: async () => {
          const { hostedRestore } = await import('../../commands/hosted-backup.ts');
          return ({ names: [directory = ''], options, environment, terminal }) =>
            hostedRestore(directory, options, environment, terminal);
        },
      }),
    ],
  },
];
