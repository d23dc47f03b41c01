import type { Mutant } from './mutant.ts';

const LOG = ['test/platform/log.test.ts'];

/** The defences of those who read the log and the welcome of a start. */
export const logMutants: readonly Mutant[] = [
  {
    defence: 'a line of JSON has the name of its level',
    file: 'src/platform/log.ts',
    find: 'formatters: { level: (label: string) => ({ level: label }) },',
    replace: '',
    tests: LOG,
  },
  {
    defence: 'an error that is its own cause is logged',
    file: 'src/platform/log.ts',
    find: 'error.cause !== undefined && causes > 0 && ',
    replace: 'error.cause !== undefined && ',
    tests: LOG,
  },
  {
    defence: 'a start prints no password',
    file: 'src/commands/welcome.ts',
    find: "'helper' in credential ? `docker-credential-${credential.helper}` : credential.username",
    replace: 'JSON.stringify(credential)',
    tests: ['test/commands/welcome.test.ts'],
  },
];
