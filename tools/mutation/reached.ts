import type { Mutant } from './mutant.ts';

const ADDRESS = 'src/gateway/http/client-address.ts';
const HEADER = 'src/gateway/http/proxy-header.ts';
const CONNECTIONS = 'src/gateway/http/proxied-connections.ts';
const ADDRESS_TESTS = ['test/gateway/client-address.test.ts'];
const HEADER_TESTS = ['test/gateway/proxy-header.test.ts'];
const WITHOUT_TLS = 'src/gateway/routes/without-tls.ts';
const APPLICATION = 'src/gateway/routes/application.ts';
const PLAIN_TESTS = ['test/gateway/without-tls.test.ts'];
const FILES_TESTS = ['test/commands/doctor/client-files.test.ts'];
const BALANCER_TESTS = ['test/gateway/load-balancer.test.ts'];

/** The defences of the listeners: balancers, and what they say about their clients. */
export const reachedMutants: readonly Mutant[] = [
  {
    defence: 'X-Forwarded-For of a peer that is not a trusted proxy does not count',
    file: ADDRESS,
    find: 'trusted.get(socket) ?? trustedProxies.contains(peer)',
    replace: 'true',
    tests: ADDRESS_TESTS,
  },
  {
    defence: 'the right-most address that is not a trusted proxy is the client’s',
    file: ADDRESS,
    find: 'if (!trustedProxies.contains(address)) return address;',
    replace: '',
    tests: ADDRESS_TESTS,
  },
  {
    defence: 'an entry that is no address ends the walk through X-Forwarded-For',
    file: ADDRESS,
    find: 'if (claimed === undefined) return address;\n    address = claimed;',
    replace: 'if (claimed !== undefined) address = claimed;',
    tests: ADDRESS_TESTS,
  },
  {
    defence: 'an IPv4 address that IPv6 maps is the IPv4 address',
    file: ADDRESS,
    find: 'ipaddr.process(text).toString()',
    replace: 'ipaddr.parse(text).toString()',
    tests: ADDRESS_TESTS,
  },
  {
    defence: 'a bounded number of proxies is walked through',
    file: ADDRESS,
    find: 'count < MAX_FORWARDED_ADDRESSES && ',
    replace: '',
    tests: ADDRESS_TESTS,
  },
  {
    defence: 'a PROXY header of version 2 is bounded',
    file: HEADER,
    find: 'if (length > MAX_PROXY_HEADER)',
    replace: 'if (length > 1e9)',
    tests: HEADER_TESTS,
  },
  {
    defence: 'a PROXY header of version 1 is bounded',
    file: HEADER,
    find: 'bytes.length < MOST_V1 ? INCOMPLETE',
    replace: 'bytes.length < 1e9 ? INCOMPLETE',
    tests: HEADER_TESTS,
  },
  {
    defence: 'a PROXY header of an unknown version or command is refused',
    file: HEADER,
    find: 'if (command !== 0x20 && command !== 0x21)',
    replace: 'if (false)',
    tests: HEADER_TESTS,
  },
  {
    defence: 'a LOCAL header names no client',
    file: HEADER,
    find: 'command === 0x20 || NO_ADDRESS',
    replace: 'NO_ADDRESS',
    tests: HEADER_TESTS,
  },
  {
    defence: 'a listed peer must send a PROXY header',
    file: CONNECTIONS,
    find: "if (header.kind === 'invalid') return fail(header.reason);",
    replace:
      "if (header.kind === 'invalid') {\n      stop();\n      socket.unshift(bytes);\n      return accept(undefined);\n    }",
    tests: BALANCER_TESTS,
  },
  {
    defence: 'a PROXY header of a peer that is not listed does not count',
    file: CONNECTIONS,
    find: 'if (!this.#options.peers.contains(peer)) return pass(peer);',
    replace: '',
    tests: BALANCER_TESTS,
  },
  {
    defence: 'a PROXY header has a deadline',
    file: CONNECTIONS,
    find: "const timer = setTimeout(() => fail('its PROXY header does not come in time'), deadline);",
    replace: 'const timer = setTimeout(() => {}, deadline);',
    tests: BALANCER_TESTS,
  },
  {
    defence: 'a mirror behind a balancer on its own machine finds that it is ready',
    file: 'src/gateway/http/reach-listener.ts',
    find: 'if (mustIntroduce) socket.write(HEADER_WITHOUT_CLIENT);',
    replace: '',
    tests: BALANCER_TESTS,
  },
  {
    defence: 'without TLS only a trusted proxy is served everything',
    file: APPLICATION,
    find: 'trustedProxies?.contains(peerAddress(request.socket)) ?? false',
    replace: 'true',
    tests: PLAIN_TESTS,
  },
  {
    defence: 'a request without TLS that carries a credential is refused',
    file: WITHOUT_TLS,
    find: 'if (!carriesCredential(request)) return handler(request, response);',
    replace: 'return handler(request, response);',
    tests: PLAIN_TESTS,
  },
  {
    defence: 'a request for a token carries a credential in its body',
    file: WITHOUT_TLS,
    find: "return url === '/token' || url.startsWith('/token?');",
    replace: 'return false;',
    tests: PLAIN_TESTS,
  },
  {
    defence: 'without TLS nobody is asked to log in',
    file: WITHOUT_TLS,
    find: "if (decision.kind === 'granted' || ERRORS[decision.error].status !== 401) return decision;",
    replace: 'if (decision !== undefined) return decision;',
    tests: PLAIN_TESTS,
  },
  {
    defence: 'server.plain has a port of its own',
    file: 'src/config/load-config.ts',
    find: '[listen.port, admin.port].includes(plain.port)',
    replace: 'false',
    tests: ['test/config/load-config.test.ts'],
  },
  {
    defence: 'doctor finds a registry mirror that dockerd does not start with',
    file: 'src/commands/doctor/client/dockerd.ts',
    find: 'if (isHttp && isBare) return [];',
    replace: 'if (isHttp) return [];',
    tests: FILES_TESTS,
  },
  {
    defence: 'doctor finds a location that makes podman ask for another image',
    file: 'src/commands/doctor/client/podman.ts',
    find: "if (below !== '' && below !== 'docker.io') {",
    replace: 'if (false) {',
    tests: FILES_TESTS,
  },
  {
    defence: 'doctor asks where containerd asks',
    file: 'src/commands/doctor/client/probe-pull.ts',
    find: 'target: manifestOf(mirror, route.base),',
    replace: 'target: manifestOf(mirror),',
    tests: FILES_TESTS,
  },
  {
    defence: 'doctor asks where containerd’s own file sends kubelet’s pulls',
    file: 'src/commands/doctor/client/containerd.ts',
    find: "URL.parse(endpoint ?? '')?.pathname.replace(/\\/$/, '') || '/v2'",
    replace: "'/v2'",
    tests: FILES_TESTS,
  },
];
