import type { Mutant } from './mutant.ts';

const CONFIG = ['test/config/accounts.test.ts'];

/** The defences of several accounts for one upstream, and of the shares of its connections. */
export const accountsMutants: readonly Mutant[] = [
  {
    defence: 'no role but the core is given the logins of accounts',
    file: 'src/config/config.ts',
    find: 'accounts: _none, ',
    replace: '',
    tests: CONFIG,
  },
  {
    defence: 'one account is not listed under two names, and so counted twice',
    file: 'src/config/upstream-logins.ts',
    find: 'first !== undefined && first !== name',
    replace: 'false',
    tests: CONFIG,
  },
  {
    defence: 'an account is never for the repositories of another upstream',
    file: 'src/config/upstream-logins.ts',
    find: "'wrong' in read || read.pattern.startsWith(`${host}/`)",
    replace: 'true',
    tests: CONFIG,
  },
  {
    defence: 'with a core of another program, accounts, quota and bandwidth are refused',
    file: 'src/config/upstream-logins.ts',
    find: 'if (!externalCore) return;',
    replace: 'return;',
    tests: CONFIG,
  },
  {
    defence: 'the password files of accounts are judged like the others',
    file: 'src/config/config.ts',
    find: 'return credential === undefined ? all :',
    replace: 'return credential === undefined ? [] :',
    tests: CONFIG,
  },
];
