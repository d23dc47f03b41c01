import type { Mutant } from './mutant.ts';

/** The defences of the log and of the reading of errors. */
export const hygieneMutants: readonly Mutant[] = [
  {
    defence: 'of an error only its message, its code and its stack are logged',
    file: 'src/platform/log.ts',
    find: '    type: error.name,\n',
    replace: '    ...error,\n    type: error.name,\n',
    tests: ['test/platform/log.test.ts'],
  },
  {
    defence: 'the stacks of the causes of an error are logged',
    file: 'src/platform/log.ts',
    find: '...(error.cause !== undefined && causes > 0 &&',
    replace: '...(error.cause === null && causes > 0 &&',
    tests: ['test/platform/log.test.ts'],
  },
  {
    defence: 'undici’s dispatcher has the methods that its own index gives it',
    file: 'src/platform/undici.ts',
    find: 'Object.assign(dispatcher.prototype, api);',
    replace: 'Object.assign(dispatcher.prototype, { request: api.request });',
    tests: ['test/platform/undici.test.ts'],
  },
  {
    defence: 'the memory of a chunk that was copied is freed',
    file: 'src/platform/release-buffer.ts',
    find: 'buffer.transfer(0);',
    replace: 'buffer.slice(0, 0);',
    tests: ['test/core/pull/gather.test.ts'],
  },
];
