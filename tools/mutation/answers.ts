import type { Mutant } from './mutant.ts';

const CERTIFICATE_TESTS = ['test/gateway/client-certificate.test.ts'];
const MATRIX = ['test/gateway/matrix.test.ts'];
const KIT_TESTS = ['test/commands/client-config.test.ts'];

/** The defences of what a refusal says, and of who asks where a login and a certificate come together. */
export const answersMutants: readonly Mutant[] = [
  {
    defence: 'a subject that the policy denies is answered 403 whatever its token was issued for',
    file: 'src/gateway/permission/permit.ts',
    find: "return admission.subject.kind === 'anonymous'",
    replace: 'return admission.repositories !== undefined',
    tests: ['test/gateway/v2.test.ts'],
  },
  {
    defence: 'nobody’s token is answered 401 where the policy denies it, because a login could help',
    file: 'src/gateway/permission/permit.ts',
    find: "return admission.subject.kind === 'anonymous'",
    replace: 'return false',
    tests: ['test/gateway/v2.test.ts'],
  },
  {
    defence: 'the reason of a deny reaches clients that drop the body of a 401',
    file: 'src/gateway/routes/v2.ts',
    find: '...(because !== undefined && (reason || isOfCertificate) && { description: because }),',
    replace: '',
    tests: ['test/gateway/v2.test.ts'],
  },
  {
    defence: 'a description cannot end its parameter and begin another one',
    file: 'src/registry/challenge.ts',
    find: "TYPOGRAPHIC[character] ?? '?'",
    replace: 'character',
    tests: ['test/registry/challenge.test.ts'],
  },
  {
    defence: 'a description is short enough for a header',
    file: 'src/registry/challenge.ts',
    find: 'plain.length <= LONGEST_DESCRIPTION',
    replace: 'true',
    tests: ['test/registry/challenge.test.ts'],
  },
  {
    defence: 'a machine’s certificate does not hide the challenge from who logs in',
    file: 'src/gateway/routes/v2.ts',
    find: "ignoreCertificate: route.kind === 'ping'",
    replace: 'ignoreCertificate: false',
    tests: CERTIFICATE_TESTS,
  },
  {
    defence: 'a valid credential of ours says who asks, whatever certificate it comes with',
    file: 'src/gateway/admission/admit.ts',
    find: 'certified !== undefined && provesNobody(shown, admission, verifyToken.isOurs)',
    replace: 'certified !== undefined',
    tests: CERTIFICATE_TESTS,
  },
  {
    defence: 'a token of ours that has ended is refused beside a certificate',
    file: 'src/gateway/admission/admit.ts',
    find: '!isOurs(shown.token)',
    replace: 'true',
    tests: CERTIFICATE_TESTS,
  },
  {
    defence: 'the token of nobody beside a certificate is the certificate’s',
    file: 'src/gateway/admission/admit.ts',
    find: "return admission.subject.kind === 'anonymous'",
    replace: 'return false',
    tests: MATRIX,
  },
  {
    defence: 'the login of another registry beside a certificate is held against nobody',
    file: 'src/gateway/admission/admit.ts',
    find: 'auth.authenticate({ login, address, isStray }, client)',
    replace: 'auth.authenticate({ login, address, isStray: false }, client)',
    tests: CERTIFICATE_TESTS,
  },
  {
    defence: 'the mirror has every capability in hosts.toml, referrers and pushes among them',
    file: 'src/commands/client-config/hosts-toml.ts',
    find: 'const settings = [...caLines(paths), ...clientLines(paths)];',
    replace:
      'const settings = [\'capabilities = ["pull", "resolve"]\', ...caLines(paths), ...clientLines(paths)];',
    tests: KIT_TESTS,
  },
  {
    defence: 'the pair of a containerd node is not shown for names of the mirror’s own',
    file: 'src/commands/client-config/containerd.ts',
    find: 'certificatePaths(mirror, directory, PAIR)',
    replace: 'certificatePaths(mirror, directory)',
    tests: KIT_TESTS,
  },
  {
    defence: 'the pair of a dockerd node is not shown by its containerd store for names of the mirror’s own',
    file: 'src/commands/client-config/dockerd.ts',
    find: '      ownHostsFile(mirror, ROOT, paths),\n',
    replace: '',
    tests: KIT_TESTS,
  },
  {
    defence: 'a revoked certificate is named as such',
    file: 'src/gateway/admission/client-certificate.ts',
    find: "return 'revoked';",
    replace: 'return undefined;',
    tests: CERTIFICATE_TESTS,
  },
  {
    defence: 'who fetched a token beside a revoked certificate gets 403, the body of which clients print',
    file: 'src/gateway/permission/permit.ts',
    find: "if (admission.certificateFault !== undefined) return { kind: 'refused', error: 'DENIED', ...why };",
    replace: '',
    tests: CERTIFICATE_TESTS,
  },
];
