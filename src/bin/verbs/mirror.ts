import { Argument } from 'commander';
import { CLIENT_NAMES } from '../../commands/client-config/client-names.ts';
import { type Verb, verb } from '../verb.ts';

/** The verbs about the whole mirror, and about clients. */
export const MIRROR_VERBS: readonly Verb[] = [
  verb({
    usage: 'start',
    description: 'start the mirror; it makes what is missing',
    options: ['role'],
    load: async () => {
      const { useCompileCache } = await import('../../launch/compile-cache.ts');
      return async ({ options: { home, role }, terminal }) => {
        // Only what is loaded from now on is compiled with the cache.
        useCompileCache(home, role);
        const { start } = await import('../../commands/start.ts');
        return start({ home, ...(role && { role }) }, terminal);
      };
    },
  }),
  verb({
    usage: 'prepare',
    description: 'make what a start would make, and start nothing',
    options: ['role'],
    load: async () => {
      const { prepareHome } = await import('../../launch/prepare-home.ts');
      return ({ options, environment, terminal }) => prepareHome(options, environment, terminal);
    },
  }),
  verb({
    usage: 'check',
    description: 'report everything that is wrong with hubgate.yaml, access.yaml and users.yaml',
    options: ['json'],
    load: async () => {
      const { check } = await import('../../commands/check.ts');
      return ({ options, environment, terminal }) => check(options, environment, terminal);
    },
  }),
  verb({
    usage: 'people',
    description: 'list the people of directories who have logged in',
    options: ['json'],
    load: async () => {
      const { listPeople } = await import('../../commands/people.ts');
      return ({ options, environment, terminal }) => listPeople(options, environment, terminal);
    },
  }),
  verb({
    usage: 'upstream',
    description: 'say whether the upstreams answer and accept the credential, and how much quota is left',
    options: ['json'],
    load: async () => {
      const { showUpstreams } = await import('../../commands/upstream.ts');
      return ({ options, terminal }) => showUpstreams(options, terminal);
    },
    verbs: [
      verb({
        usage: 'check <host> [image]',
        description:
          'go the whole way to one upstream and say what happens at each step; an image costs a pull there',
        options: ['json'],
        load: async () => {
          const { checkUpstream } = await import('../../commands/check-upstream.ts');
          return ({ names: [host = '', image], options, environment, terminal }) =>
            checkUpstream(host, image, options, environment, terminal);
        },
      }),
      verb({
        usage: 'budget',
        description: 'say what is left of the quotas and limits, until when, and who has used it',
        options: ['sinceAWindow', 'by', 'json'],
        load: async () => {
          const { reuseCompileCache } = await import('../../launch/compile-cache.ts');
          return async ({ options, environment, terminal }) => {
            // Compiling would take as long as counting a million lines.
            reuseCompileCache(options.home);
            const { showBudget } = await import('../../commands/budget/budget.ts');
            return showBudget(options, environment, terminal);
          };
        },
      }),
    ],
  }),
  verb({
    usage: 'promote [images...]',
    description:
      'put an image (SOURCE) into a hosted repository (TARGET) under its digest, with its signatures and SBOMs',
    options: ['pairs', 'as', 'dryRun', 'json'],
    load: async () => {
      const { promote } = await import('../../commands/promote/promote.ts');
      return ({ names, options, environment, terminal }) => promote(names, options, environment, terminal);
    },
  }),
  verb({
    usage: 'warm <images...>',
    description:
      'fetch images ahead, or those that files name (*.txt, - for standard input); a second call continues where the first one ended',
    options: ['platform', 'json'],
    load: async () => {
      const { warm } = await import('../../commands/warm/warm.ts');
      return ({ names, options, environment, terminal }) => warm(names, options, environment, terminal);
    },
  }),
  verb({
    usage: 'audit',
    description: 'list who pulled, pushed, promoted and deleted what, and the outcome',
    options: ['sinceADay', 'until', 'subject', 'repository', 'audited', 'denied', 'requests', 'json'],
    load: async () => {
      const { showAudit } = await import('../../commands/audit.ts');
      return ({ options, environment, terminal }) => showAudit(options, environment, terminal);
    },
  }),
  verb({
    usage: 'doctor',
    description:
      'find what is wrong with the mirror, or on a host that should pull through it, and say what to do',
    options: ['fromClient', 'image', 'json'],
    load: async () => {
      const { doctor } = await import('../../commands/doctor/doctor.ts');
      return ({ options, environment, terminal }) => doctor(options, environment, terminal);
    },
  }),
  verb({
    usage: 'backup <directory>',
    description: 'copy all of the home that must not be lost into a new directory, while the mirror runs',
    options: ['json'],
    load: async () => {
      const { backUp } = await import('../../commands/backup/backup.ts');
      return ({ names: [directory = ''], options, environment, terminal }) =>
        backUp(directory, options, environment, terminal);
    },
  }),
  verb({
    usage: 'restore <directory>',
    description: 'verify a backup, and copy it into a home that is absent or empty',
    options: ['json'],
    load: async () => {
      const { restore } = await import('../../commands/backup/restore.ts');
      return ({ names: [directory = ''], options, environment, terminal }) =>
        restore(directory, options, environment, terminal);
    },
  }),
  verb({
    usage: 'login <host>',
    description: 'log docker and podman on this machine in to a mirror, without a stored password',
    options: ['ca', 'caSha256', 'machine', 'keychain'],
    load: async () => {
      const { logInToMirror } = await import('../../commands/login.ts');
      return ({ names: [host = ''], options, environment, terminal }) =>
        logInToMirror(host, options, environment, terminal);
    },
  }),
  verb({
    usage: 'client-config',
    description: 'issue and write what a client needs',
    argument: () => new Argument('<client>', 'the kind of client').choices(CLIENT_NAMES),
    options: ['for', 'strict', 'serviceAccounts', 'outTree', 'showSecrets', 'json'],
    load: async () => {
      const { clientConfig } = await import('../../commands/client-config/client-config.ts');
      return ({ names: [client = ''], options, environment, terminal }) =>
        clientConfig(client, options, environment, terminal);
    },
  }),
];
