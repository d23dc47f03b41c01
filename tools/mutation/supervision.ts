import type { Mutant } from './mutant.ts';

/** The defences of processes against each other's failures, and against too many connections. */
export const supervisionMutants: readonly Mutant[] = [
  {
    defence: 'a failure of another process is no answer',
    file: 'src/platform/ask-peer.ts',
    find: 'if (answer.statusCode < 500) return answer;',
    replace: 'return answer;',
    tests: ['test/platform/ask-peer.test.ts', 'test/gateway/service-token.test.ts'],
  },
  {
    defence: 'an answer that is cut off is asked for again',
    file: 'src/platform/ask-peer.ts',
    find: 'if (attempt < attempts) continue;',
    replace: '',
    tests: ['test/platform/ask-peer.test.ts'],
  },
  {
    defence: 'what another role is followed for is taken from a 200 alone',
    file: 'src/platform/follow.ts',
    find: 'if (statusCode !== 200)',
    replace: 'if (statusCode === 0)',
    tests: ['test/platform/ask-peer.test.ts'],
  },
  {
    defence: 'auth says by 500 that it has failed',
    file: 'src/auth/endpoints.ts',
    find: 'context.status = 500;',
    replace: 'context.status = 400;',
    tests: ['test/gateway/service-token.test.ts'],
  },
  {
    defence: 'clients never use up the open files of a gateway',
    file: 'src/gateway/http/listener.ts',
    find: 'server.maxConnections = connections;',
    replace: '',
    tests: ['test/supervisor/open-files.test.ts'],
  },
  {
    defence: 'a port that another mirror shares is refused',
    file: 'src/commands/ports.ts',
    find: 'const { host, port } = address;',
    replace: 'const { host, port } = { ...address, port: 0 };',
    tests: ['test/supervisor/open-files.test.ts'],
  },
  {
    defence: 'with too few open files nothing starts',
    file: 'src/commands/start.ts',
    find: 'if (tooFew !== undefined) throw new Error(tooFew);',
    replace: '',
    tests: ['test/supervisor/open-files.test.ts'],
  },
  {
    defence: 'a role that hangs is ended',
    file: 'src/supervisor/role-process.ts',
    find: '    clearInterval(timer);\n    onHang();',
    replace: '    clearInterval(timer);',
    tests: ['test/supervisor/supervise.test.ts'],
  },
  {
    defence: 'a socket is for this user and group alone',
    file: 'src/platform/unix-socket.ts',
    find: 'await chmod(address, 0o660);',
    replace: '',
    tests: ['test/platform/unix-socket.test.ts'],
  },
  {
    defence: 'SIGHUP ends no mirror whose terminal is there',
    file: 'src/commands/start.ts',
    find: 'hasTerminal && isTerminalGone()',
    replace: 'hasTerminal',
    tests: ['test/commands/hangup.test.ts'],
  },
  {
    defence: 'a mirror ends with its terminal',
    file: 'src/commands/start.ts',
    find: '(hasTerminal && isTerminalGone() ? interruption.interrupt() : reload())',
    replace: 'reload()',
    tests: ['test/commands/hangup.test.ts'],
  },
  {
    defence: 'nothing is served by what auth said too long ago',
    file: 'src/gateway/admission/admit.ts',
    find: '    credentials.throwIfStale();\n',
    replace: '',
    tests: ['test/gateway/auth-silence.test.ts'],
  },
];
