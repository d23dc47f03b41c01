import type { Mutant } from './mutant.ts';

/** The defences of files that people write: what is read, what is trusted, and what is never written over. */
export const filesMutants: readonly Mutant[] = [
  {
    defence: 'only a regular file is read',
    file: 'src/platform/regular-file.ts',
    find: 'if (!stats.isFile()) throw new UnfitFileError(`it is ${kindOf(stats)}, not a regular file`);',
    replace: '',
    tests: ['test/platform/regular-file.test.ts'],
  },
  {
    defence: 'a FIFO is opened without waiting for its writer',
    file: 'src/platform/regular-file.ts',
    find: 'constants.O_RDONLY | constants.O_NONBLOCK',
    replace: 'constants.O_RDONLY',
    tests: ['test/platform/regular-file.test.ts'],
  },
  {
    defence: 'a file is not read beyond its bound',
    file: 'src/platform/regular-file.ts',
    find: 'if (stats.size > most) throw new UnfitFileError(tooLarge(most));',
    replace: '',
    tests: ['test/platform/regular-file.test.ts'],
  },
  {
    defence: 'a file system that does not answer is given up after a while',
    file: 'src/platform/regular-file.ts',
    find: 'return await deadline.bound(asking);',
    replace: 'return await asking;',
    tests: ['test/platform/regular-file.test.ts'],
  },
  {
    defence: 'only ENOENT means that a file is absent',
    file: 'src/platform/regular-file.ts',
    find: "if ((error as NodeJS.ErrnoException).code !== 'ENOENT') return false;",
    replace: '',
    tests: ['test/platform/regular-file.test.ts', 'test/access/live-policy.test.ts'],
  },
  {
    defence: 'a directory of policies that cannot be listed is a fault',
    file: 'src/access/load-policy.ts',
    find: 'return (await isAbsent(directory, error)) ? [] : (error as Error);',
    replace: 'return [];',
    tests: ['test/access/live-policy.test.ts', 'test/commands/unreadable-files.test.ts'],
  },
];
