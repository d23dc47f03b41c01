import type { Mutant } from './mutant.ts';

const CHECK_REGISTRY = ['test/commands/check-registry.test.ts'];
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
    file: 'src/bin/verb.ts',
    find: 'command.optsWithGlobals<OptionValues<Names[number]>>()',
    replace: 'command.opts<OptionValues<Names[number]>>()',
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
    tests: CLUSTER_KITS,
  },
  {
    defence: 'k3s with --strict asks the mirror alone',
    file: 'src/commands/client-config/k3s.ts',
    find: 'disable-default-registry-endpoint: true',
    replace: '',
    tests: CLUSTER_KITS,
  },
  {
    defence: 'a proxy that hangs is found within seconds',
    file: 'tools/check-registry.mjs',
    find: 'setTimeout(() => fail(',
    replace: 'setTimeout(() => (',
    tests: CHECK_REGISTRY,
  },
  {
    defence: 'a proxy that refuses is named',
    file: 'tools/check-registry.mjs',
    find: 'if (response.statusCode === 200) resolve(socket);',
    replace: 'if (true) resolve(socket);',
    tests: CHECK_REGISTRY,
  },
  {
    defence: 'the units run the Node that the installation brings',
    file: 'deploy/systemd/hubgate.service',
    find: 'ExecStart=/opt/hubgate/bin/node',
    replace: 'ExecStart=/usr/bin/node',
    tests: ['test/deploy/units.test.ts'],
  },
  {
    defence: 'a build behind a proxy that refuses fails at once',
    file: 'Dockerfile',
    find: 'node check-registry.mjs && ',
    replace: '',
    tests: ['test/deploy/dockerfile.test.ts'],
  },
  {
    defence: 'an installation replaces only what it installed',
    file: 'deploy/systemd/install.sh',
    find: '  fail "$PROGRAM exists and is not Hubgate; move it away"',
    replace: '  :',
    tests: ['test/e2e/installed.e2e.ts'],
  },
  {
    defence: 'the first words of a service name a command that its people have',
    file: 'src/launch/own-command.ts',
    find: 'if (!script.includes(BIN)) continue;',
    replace: 'continue;',
    tests: ['test/commands/own-command.test.ts'],
  },
  {
    defence: 'a Node that is too old for the npm package says so, and what to do',
    file: 'bin/hubgate.cjs',
    find: "const LOWEST = '24.11';",
    replace: "const LOWEST = '24.0';",
    tests: ['test/commands/launcher.test.ts'],
  },
  {
    defence:
      'on Node 24.11 a request whose answer is sent is not aborted later, and its connection keeps no listener',
    file: 'src/platform/request-signal.ts',
    find: 'if (hasRequest(message)) watched.get(message.request)?.detach();',
    replace: 'void message;',
    tests: ['test/platform/request-signal.test.ts'],
  },
  {
    defence: 'every role adds the signal of a request where Node 24 lacks it',
    file: 'src/launch/run-role.ts',
    find: 'provideRequestSignal();',
    replace: '',
    tests: ['test/e2e/packages.e2e.ts'],
  },
  {
    defence: 'the npm package names its own files, because Node runs no TypeScript in it',
    file: 'tools/release/compile.ts',
    find: ".replace(/(['\"])(\\.{1,2}\\/[^'\"\\n]*)\\.ts\\1/g, '$1$2.js$1')",
    replace: '',
    tests: ['test/deploy/compiled.test.ts'],
  },
  {
    defence: 'archives of a release do not depend on the order of files',
    file: 'tools/release/archive.ts',
    find: 'return [...all.values()].toSorted((a, b) => (a.path < b.path ? -1 : 1));',
    replace: 'return [...all.values()];',
    tests: ['test/deploy/release.test.ts'],
  },
  {
    defence: 'a bill of materials names what the program and a tool of development have in common',
    file: 'tools/release/bill-of-materials.ts',
    find: "const args = ['sbom',",
    replace: "const args = ['sbom', '--omit=dev',",
    tests: ['test/deploy/release.test.ts'],
  },
];
