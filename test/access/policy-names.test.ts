import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lintNames } from '../../src/access/policy-names.ts';
import { formatFault } from '../../src/platform/fault.ts';

const KNOWN = {
  users: new Set(['ana', 'jin', 'ci-pay']),
  upstreams: new Set(['docker.io', 'ghcr.io']),
  mirror: new Set(['mirror.corp']),
  repositories: new Set(['docker.io/library/centos', 'docker.io/acme/pay-ledger']),
};

function doubtsOf(policy: string): string[] {
  const text = `version: 1\n${policy}\n...\n`;
  return lintNames([{ source: 'access.yaml', label: 'access.yaml', text }], KNOWN).map(formatFault);
}

const DOUBTS: readonly (readonly [line: string, doubt: string])[] = [
  ['groups: { pay: [anna, jin] }', '2:17: "anna" is not in users.yaml; did you mean "ana"?'],
  [
    'groups: { pay: [zoe] }',
    '2:17: "zoe" is not in users.yaml; add it by: hubgate user add zoe, with --service for a program',
  ],
  ['deny: [{ pull: acme/x, to: ci-pya }]', '2:28: "ci-pya" is not in users.yaml; did you mean "ci-pay"?'],
  [
    'deny: [{ pull: acme/x, to: ana@corp.com }]',
    '2:28: "ana@corp.com" is not in users.yaml; add it by: hubgate user add ana@corp.com, with --service for a program',
  ],
  [
    'limits: [{ id: ci, to: ci-pya, pulls: 1/6h }]',
    '2:24: "ci-pya" is not in users.yaml; did you mean "ci-pay"?',
  ],
  [
    'limits: [{ id: ci, to: ci-pay, except: [anna], pulls: 1/6h }]',
    '2:41: "anna" is not in users.yaml; did you mean "ana"?',
  ],
  [
    'limits: [{ id: ci, to: ana, upstream: [docker.io, ghrc.io], pulls: 1/6h }]',
    '2:51: "ghrc.io" is no upstream of hubgate.yaml; did you mean "ghcr.io"?',
  ],
  [
    'limits: [{ id: ci, to: ana, from: 10.40.1.0/16, pulls: 1/6h }]',
    '2:35: "10.40.1.0/16" means all of 10.40.0.0/16; write "10.40.0.0/16", or a longer prefix than /16',
  ],
  [
    'reserve: [{ id: r, upstream: quay.io, keep: 20%, for: ana }]',
    '2:30: "quay.io" is no upstream of hubgate.yaml; add it under "upstreams", or remove this',
  ],
  [
    'reserve: [{ id: r, upstream: docker.io, keep: 20%, for: anna }]',
    '2:57: "anna" is not in users.yaml; did you mean "ana"?',
  ],
  [
    'allow: [{ pull: ghrc.io/acme/**, to: ana }]',
    '2:17: "ghrc.io/acme/**" can match no repository: ghrc.io is no upstream of hubgate.yaml; did you mean "ghcr.io/acme/**"?',
  ],
  [
    'allow: [{ pull: quay.io/acme/**, to: ana }]',
    '2:17: "quay.io/acme/**" can match no repository: quay.io is no upstream of hubgate.yaml; add it under "upstreams", or remove this',
  ],
  [
    'sets: { ours: [mirror.corp/acme/**] }',
    '2:16: "mirror.corp/acme/**" can match no repository: mirror.corp is this mirror itself; write "acme/**"',
  ],
  [
    'allow: [{ pull: acme/x, to: ana, from: 10.40.1.0/16 }]',
    '2:40: "10.40.1.0/16" means all of 10.40.0.0/16; write "10.40.0.0/16", or a longer prefix than /16',
  ],
  [
    'allow: [{ pull: acme/x, to: ana, from: "2001:db8:30:1::5/48" }]',
    '2:40: "2001:db8:30:1::5/48" means all of 2001:db8:30::/48; write "2001:db8:30::/48", or a longer prefix than /48',
  ],
  [
    'allow: [{ pull: nginx/*, to: ana }]',
    '2:17: "nginx/*" means the namespace "nginx"; did you mean the official image "library/nginx"?',
  ],
  [
    'allow: [{ pull: acme/team/tool, to: ana }]',
    '2:17: "acme/team/tool" can match no repository: names on Docker Hub have two parts, such as "acme/team"',
  ],
  [
    'deny: [{ pull: library/centoss, to: ana }]',
    '2:16: "library/centoss" matches no known repository; did you mean "library/centos"?',
  ],
  [
    'deny: [{ pull: amce/**, to: ana }]',
    '2:16: "amce/**" matches no known repository; did you mean "acme/**"?',
  ],
  [
    'deny: [{ pull: acme/pay-legder, to: ana }]',
    '2:16: "acme/pay-legder" matches no known repository; did you mean "acme/pay-ledger"?',
  ],
];

for (const [line, doubt] of DOUBTS) {
  test(`check warns of a name that nobody or nothing known has: ${line}`, () => {
    assert.deepEqual(doubtsOf(line), [`access.yaml:${doubt}`]);
  });
}

test('what is known, or cannot be known, is not warned of', () => {
  assert.deepEqual(
    doubtsOf(`groups: { nodes: ["cert:prod-*"], people: [ana, "user:jin"] }
sets: { base: [library/**, nginx, "ghcr.io/acme/team/tool"] }
allow:
  - { pull: everything, to: [authenticated, anonymous], from: [10.40.0.0/16, 192.0.2.7, "2001:db8::/32"] }
  - { pull: ["acme/\${user}/**", acme/**/tool, other/thing], to: [group:nodes, "oidc:github:acme/x@refs/heads/main"] }
deny:
  - { pull: [library/debian, somebody/else, library/cen*, other/thing], to: ana }`),
    [],
  );
});
