import type { Mutant } from './mutant.ts';

/** The defences of the kits against clients that go around the mirror. */
export const clientsMutants: readonly Mutant[] = [
  {
    defence: 'the kit of regctl configures it without a request to the Hub',
    file: 'src/commands/client-config/regctl.ts',
    find: ' --skip-check`',
    replace: '`',
    tests: ['test/commands/client-config.test.ts'],
  },
];
