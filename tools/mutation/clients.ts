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
  {
    defence: 'the token of a pod is given only if it has no character with a meaning in JSON',
    file: 'src/commands/client-config/kubelet-provider.ts',
    find: '  *[!A-Za-z0-9._-]*) token= ;;\n',
    replace: '',
    tests: ['test/commands/service-accounts.test.ts'],
  },
  {
    defence: 'an annotation with the name of the token is not taken for the token of the pod',
    file: 'src/commands/client-config/kubelet-provider.ts',
    find: `%%'"serviceAccountAnnotations"'*}`,
    replace: '}',
    tests: ['test/commands/service-accounts.test.ts'],
  },
  {
    defence: 'the hosts.toml of a cluster whose pods log in names no host but the mirror',
    file: 'src/commands/client-config/hosts-toml.ts',
    find: 'const text = [`server = "${mirror.url}"`, ...settings,',
    replace: 'const text = [...settings,',
    tests: ['test/commands/service-accounts.test.ts'],
  },
  {
    defence: 'doctor finds a registry that gets the token of a pod beside the mirror',
    file: 'src/commands/doctor/client/credential-provider.ts',
    find: 'const hosts = [server ?? registry, ...',
    replace: 'const hosts = [...',
    tests: ['test/commands/doctor/client.test.ts'],
  },
];
