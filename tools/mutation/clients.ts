import type { Mutant } from './mutant.ts';

/** The defences of the kits against clients that bypass the mirror. */
export const clientsMutants: readonly Mutant[] = [
  {
    defence: 'the kit of regctl configures it without a request to the Hub',
    file: 'src/commands/client-config/regctl.ts',
    find: ' --skip-check`',
    replace: '`',
    tests: ['test/commands/client-config.test.ts'],
  },
  {
    defence: 'a file that two kits share does not fail the command that puts the second one in place',
    file: 'src/commands/client-config/print-kit.ts',
    find: '--skip-old-files',
    replace: '--keep-old-files',
    tests: ['test/commands/client-config.test.ts'],
  },
  {
    defence: 'the command that puts a kit in place names the files that it kept although they differ',
    file: 'src/commands/client-config/print-kit.ts',
    find: '`${unpack} && ${compare}`',
    replace: 'unpack',
    tests: ['test/commands/client-config.test.ts'],
  },
];
