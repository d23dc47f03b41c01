import { caFile } from './certificate-files.ts';
import { dockerAuth, explicitName } from './docker-auth.ts';
import { type ClientKit, explicitAuditLine, type KitRequest } from './kit.ts';

const SECRET = 'hubgate-pull-secret.yaml';

/**
 * Makes the kit for pods whose images have names that begin with the mirror's name. Other images are pulled
 * by the node, as the kit `containerd` says.
 */
export function kubernetesKit({ mirror, name }: KitRequest): ClientKit {
  const { host } = mirror;
  return {
    credential: 'token',
    subject: `service:${name}`,
    files: [
      {
        path: SECRET,
        mode: 0o600,
        content: { withToken: (token) => secret(dockerAuth(mirror, name, token)) },
      },
      ...caFile(mirror, `/etc/containerd/certs.d/${host}`),
    ],
    notes: {
      merge: [
        'In the pod, or the template of one; library/ is part of the name here:',
        '  imagePullSecrets: [{ name: hubgate }]',
        `  containers: [{ image: ${explicitName(mirror)} }]`,
        'Instead of imagePullSecrets in each pod, for all of a namespace:',
        `  kubectl patch serviceaccount default -p '{"imagePullSecrets":[{"name":"hubgate"}]}'`,
        ...(mirror.ca === undefined
          ? []
          : [
              'ca.crt is for each node, with config_path = "/etc/containerd/certs.d" in its config.toml; CRI-O:',
              `/etc/containers/certs.d/${host}/ca.crt`,
            ]),
      ],
      reload: [`kubectl apply -f ${SECRET}   in each namespace; again before the token ends`],
      check: [
        `kubectl run mirror-check --restart=Never --image=${explicitName(mirror)} \\`,
        `  --overrides='{"apiVersion":"v1","spec":{"imagePullSecrets":[{"name":"hubgate"}]}}' -- true`,
        'kubectl get pod mirror-check   is Completed',
        explicitAuditLine(`service:${name}`),
      ],
      notReached: [
        `Images that are named without ${host}/, those of charts and operators among them: the nodes pull them, with or`,
        'without a mirror. For these: hubgate client-config containerd --for NODE',
      ],
      fallback: ['The pull fails. Nothing else is asked for a name that begins with the mirror’s.'],
    },
  };
}

/** base64 has no character that has a meaning in YAML. */
function secret(auths: string): string {
  return `apiVersion: v1
kind: Secret
metadata:
  name: hubgate
type: kubernetes.io/dockerconfigjson
data:
  .dockerconfigjson: ${Buffer.from(auths).toString('base64')}
`;
}
