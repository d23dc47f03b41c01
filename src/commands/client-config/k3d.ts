import { auditLine, type ClientKit, HUB_HOSTS, type KitRequest } from './kit.ts';
import { nodeFiles, ownNameLine, registriesYaml } from './registries-yaml.ts';

const FILE = 'hubgate-k3d.yaml';
/** The directory on the machine that runs k3d. */
const DIRECTORY = 'hubgate';
/** The directory on the nodes. */
const MOUNTED = '/etc/rancher/hubgate';

/**
 * Makes the kit for a cluster of k3s in containers. k3d takes `registries.yaml` as text in its own file
 * (k3d-io/k3d, pkg/config/v1alpha5/schema.json).
 */
export function k3dKit({ mirror, name, strict }: KitRequest): ClientKit {
  const create = `k3d cluster create --config ${FILE} --volume "$PWD/${DIRECTORY}:${MOUNTED}@all"`;
  const registries = registriesYaml(mirror, MOUNTED).trimEnd().split('\n');
  const text = [
    'apiVersion: k3d.io/v1alpha5',
    'kind: Simple',
    'registries:',
    '  config: |',
    ...registries.map((line) => `    ${line}`),
    ...(strict ? STRICT : []),
    '',
  ].join('\n');
  return {
    credential: 'certificate',
    subject: `cert:${name}`,
    files: [{ path: FILE, mode: 0o644, content: { text } }, ...nodeFiles(mirror, DIRECTORY)],
    notes: {
      merge: [`Where you have a file for k3d already, add registries${strict ? ' and options' : ''} to it.`],
      reload: [`${create}   in the directory of the files; a cluster that exists is made anew`],
      check: [
        'kubectl run mirror-check --restart=Never --image=docker.io/library/alpine -- true',
        'kubectl get pod mirror-check   is Completed',
        auditLine(`cert:${name}`),
      ],
      notReached: [
        'The image of the nodes themselves, rancher/k3s: Docker pulls it, see hubgate client-config dockerd.',
        ownNameLine(mirror),
      ],
      fallback: strict
        ? ['The mirror alone is asked: if it refuses or fails, the pull fails.']
        : [
            'When the mirror refuses or fails, containerd asks the registry itself. --strict closes that;',
            `else block ${HUB_HOSTS} for this machine.`,
          ],
    },
  };
}

const STRICT = [
  'options:',
  '  k3s:',
  '    extraArgs:',
  '      - arg: --disable-default-registry-endpoint',
  '        nodeFilters: ["server:*", "agent:*"]',
];
