import type { Mutant } from './mutant.ts';

const CLUSTER_KITS = ['test/commands/cluster-kits.test.ts'];
const COMMAND_LINE = ['test/commands/command-line.test.ts'];

/** The defences of the command line and of installations. */
export const installMutants: readonly Mutant[] = [
  {
    defence: 'HUBGATE_HOME names the home and is no setting',
    file: 'src/config/environment.ts',
    find: ' && variable !== HOME_VARIABLE',
    replace: '',
    tests: COMMAND_LINE,
  },
  {
    defence: 'every verb knows the home that was named before it',
    file: 'src/bin/hubgate.ts',
    find: 'command.optsWithGlobals<Options>()',
    replace: 'command.opts<Options>()',
    tests: COMMAND_LINE,
  },
  {
    defence: 'the help of every verb has examples',
    file: 'src/bin/help.ts',
    find: 'for (const below of command.commands) addHelp(below, [...words, below.name()]);',
    replace: '',
    tests: COMMAND_LINE,
  },
  {
    defence: 'a verb of other programs gets a suggestion',
    file: 'src/bin/synonyms.ts',
    find: 'meant === undefined ? error',
    replace: 'meant !== undefined ? error',
    tests: COMMAND_LINE,
  },
  {
    defence: 'an empty list says that it is empty',
    file: 'src/commands/table.ts',
    find: 'if (empty !== undefined) printLine(stdout, empty);',
    replace: '',
    tests: COMMAND_LINE,
  },
  {
    defence: 'the value of an option is not completed as a verb',
    file: 'src/commands/completion/bash.ts',
    find: '        i=$((i + 1))\n        [',
    replace: '        [',
    tests: COMMAND_LINE,
  },
  {
    defence: 'a day of --until counts to its end',
    file: 'src/commands/audited-time.ts',
    find: 'parseMoment(text)?.ends',
    replace: 'parseMoment(text)?.begins',
    tests: ['test/commands/audit.test.ts'],
  },
  {
    defence: 'names that begin with the mirror’s own do not show the certificate of the node',
    file: 'src/commands/client-config/kit.ts',
    find: 'return /:\\d+$/.test(host) ? host : `${host}:443`;',
    replace: 'return host;',
    tests: CLUSTER_KITS,
  },
  {
    defence: 'the key within the patch for Talos is a secret',
    file: 'src/commands/client-config/kit.ts',
    find: "'withPair' in content || ",
    replace: '',
    tests: ['test/commands/client-config.test.ts'],
  },
  {
    defence: 'k3s with --strict asks the mirror alone',
    file: 'src/commands/client-config/k3s.ts',
    find: 'disable-default-registry-endpoint: true',
    replace: '',
    tests: CLUSTER_KITS,
  },
];
