import type { Mutant } from './mutant.ts';

/** Settings that must reach the roles. */
export const optionsMutants: readonly Mutant[] = [
  {
    defence: 'the core gets where the cache is',
    file: 'src/launch/role-options.ts',
    find: '    ...config.cache,\n',
    replace: '    ...config.cache,\n    directory: `${paths.home}/elsewhere`,\n',
    tests: ['test/gateway/blob.test.ts'],
  },
  {
    defence: 'auth gets the federations',
    file: 'src/launch/role-options.ts',
    find: 'federations: config.federations,',
    replace: 'federations: [],',
    tests: ['test/gateway/federation.test.ts'],
  },
  {
    defence: 'auth gets the lifetime of refresh tokens',
    file: 'src/launch/role-options.ts',
    find: '...(config.refreshLifetime !== undefined && { refreshLifetime: config.refreshLifetime }),',
    replace: '',
    tests: ['test/gateway/refresh.test.ts'],
  },
  {
    defence: 'a gateway gets the networks of balancers',
    file: 'src/launch/role-options.ts',
    find: '    proxyProtocol,\n    trustedProxies,\n',
    replace: '',
    tests: ['test/gateway/load-balancer.test.ts'],
  },
  {
    defence: 'a gateway gets what to do while the audit log cannot be written',
    file: 'src/launch/role-options.ts',
    find: 'auditOnFull: config.log.auditOnFull,',
    replace: "auditOnFull: 'wait',",
    tests: ['test/gateway/audit-loss.test.ts'],
  },
  {
    defence: 'a gateway gets the directory of hosted repositories',
    file: 'src/launch/role-options.ts',
    find: '            ...(config.hosted && { hosted: config.hosted.directory }),\n',
    replace: '',
    tests: ['test/gateway/push.test.ts'],
  },
  {
    defence: 'every role knows the hosts by which clients name the mirror itself',
    file: 'src/launch/role-options.ts',
    find: 'self: new Set(self),',
    replace: 'self: new Set([]),',
    tests: ['test/gateway/own-host.test.ts'],
  },
  {
    defence: 'a role that was started alone gets only the settings of its own',
    file: 'src/launch/run-role.ts',
    find: "role === 'core' ? given : settingsFor(role, given)",
    replace: 'given',
    tests: ['test/commands/secret-files.test.ts'],
  },
];
