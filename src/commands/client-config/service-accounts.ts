import type { Federation } from '../../config/federation.ts';
import { PRESETS } from '../../config/federation-preset.ts';
import { claimsOf } from '../../config/subject-template.ts';
import { caFile } from './certificate-files.ts';
import { loginHostsFiles } from './hosts-toml.ts';
import { type ClientFile, type ClientKit, HUB_HOSTS, type KitMirror } from './kit.ts';
import { PROVIDER_SCRIPT } from './kubelet-provider.ts';

const HOSTS = '/etc/containerd/certs.d';
const PROGRAMS = '/etc/kubernetes/credential-providers';
const NAME = 'hubgate-credential-provider';
const CONFIG = `/etc/kubernetes/${NAME}.yaml`;
const RBAC = 'hubgate-audience-rbac.yaml';
const FEDERATION = 'hubgate-federation.yaml';

/** The terms of the federation that lets pods log in. */
interface ClusterFederation {
  readonly name: string;
  readonly audience: string;
  readonly isConfigured: boolean;
}

/**
 * Makes the kit for a cluster whose pods pull as their own service accounts: kubelet asks a credential
 * provider, which answers with the pod's token, and containerd presents that to the mirror. containerd
 * presents it to every host that its `hosts.toml` names, so the mirror must be the only one.
 */
export function serviceAccountsKit(mirror: KitMirror, federations: readonly Federation[]): ClientKit {
  const federation = clusterFederation(mirror, federations);
  const subject = `oidc:${federation.name}:system:serviceaccount:NAMESPACE:NAME`;
  return {
    credential: 'none',
    subject,
    files: [
      { path: `${PROGRAMS}/${NAME}`, mode: 0o755, content: { text: PROVIDER_SCRIPT } },
      { path: CONFIG, mode: 0o644, content: { text: providerConfig(mirror, federation) } },
      ...caFile(mirror, `${HOSTS}/${mirror.host}`),
      ...loginHostsFiles(mirror, HOSTS, `${HOSTS}/${mirror.host}`),
      { path: RBAC, mode: 0o644, content: { text: audienceRole(federation) } },
      ...federationFiles(federation),
    ],
    notes: notes(mirror, federation, subject),
  };
}

/** Finds the federation of a cluster: its subject is `sub` alone, and its issuer is no known CI. */
function clusterFederation({ url }: KitMirror, federations: readonly Federation[]): ClusterFederation {
  const issuers = Object.values(PRESETS).map(({ issuer }) => issuer);
  const found = federations.find(
    ({ issuer, subject }) => claimsOf(subject).join() === 'sub' && !issuers.includes(issuer),
  );
  if (found !== undefined) return { name: found.name, audience: found.audience, isConfigured: true };
  return { name: 'cluster', audience: new URL(url).hostname, isConfigured: false };
}

/**
 * Returns what kubelet has to know. The token is the pod's, so kubelet may give it to no other pod: that is
 * `cacheType: Token` and a duration of zero.
 *
 * https://kubernetes.io/docs/reference/config-api/kubelet-config.v1
 */
function providerConfig({ host, upstreams }: KitMirror, { audience }: ClusterFederation): string {
  const registries = [...new Set([...upstreams, host])];
  return `apiVersion: kubelet.config.k8s.io/v1
kind: CredentialProviderConfig
providers:
  - name: ${NAME}
    apiVersion: credentialprovider.kubelet.k8s.io/v1
    matchImages: ${JSON.stringify(registries)}
    args: ${JSON.stringify(registries)}
    defaultCacheDuration: 0s
    tokenAttributes:
      serviceAccountTokenAudience: ${JSON.stringify(audience)}
      cacheType: Token
      requireServiceAccount: true
`;
}

/**
 * Returns the right of kubelets to ask for tokens with this audience, which Kubernetes wants from 1.33 on.
 *
 * https://kubernetes.io/docs/reference/access-authn-authz/node/#service-account-token-audience-restriction
 */
function audienceRole({ audience }: ClusterFederation): string {
  return `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: hubgate-token-audience
rules:
  - apiGroups: [""]
    resources: [${JSON.stringify(audience)}]
    verbs: [request-serviceaccounts-token-audience]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: hubgate-token-audience
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: hubgate-token-audience
subjects:
  - apiGroup: rbac.authorization.k8s.io
    kind: Group
    name: system:nodes
`;
}

function federationFiles({ name, audience, isConfigured }: ClusterFederation): ClientFile[] {
  if (isConfigured) return [];
  const text = `# A part of config/hubgate.yaml. The issuer is the --service-account-issuer of the API server:
#   kubectl get --raw /.well-known/openid-configuration
federation:
  ${name}:
    issuer: https://kubernetes.default.svc
    audience: ${JSON.stringify(audience)}
    subject: "\${sub}"
`;
  return [{ path: FEDERATION, mode: 0o644, content: { text } }];
}

function notes(mirror: KitMirror, federation: ClusterFederation, subject: string): ClientKit['notes'] {
  const { name, isConfigured } = federation;
  return {
    merge: [
      isConfigured
        ? `hubgate.yaml has the federation ${name} already.`
        : `${FEDERATION} belongs into hubgate.yaml; start the mirror anew. Its keys must be readable (docs/ci.md).`,
      'To which pods a rule of access.yaml grants something:',
      `  - { pull: library/**, to: "oidc:${name}:system:serviceaccount:NAMESPACE:*" }`,
      'Flags of kubelet on each node, where it has no credential provider yet:',
      `  --image-credential-provider-config=${CONFIG}`,
      `  --image-credential-provider-bin-dir=${PROGRAMS}`,
      'kubelet reads one file and one directory: where it has others, add the provider to that file, and put the script',
      'into that directory.',
      `/etc/containerd/config.toml has to name ${HOSTS} as its config_path.`,
      'Replace a hosts.toml that exists already by this one: a registry in it beside the mirror gets the tokens of pods.',
    ],
    reload: [
      `kubectl apply -f ${RBAC}   once`,
      'systemctl restart kubelet   on each node; pods go on running',
    ],
    check: [
      `hubgate doctor --from-client ${mirror.host}   on a node: finds each way by which a pod’s token leaves for another host`,
      'kubectl run mirror-check --restart=Never --image=docker.io/library/alpine -- true',
      `on the mirror: hubgate audit --since 5m --subject '${subject.replace('NAMESPACE:NAME', 'default:default')}'   shows the pull`,
    ],
    notReached: [
      'Kubernetes before 1.34, unless kubelet has the feature gate KubeletServiceAccountTokenForCredentialProviders.',
      `CRI-O does not give a login to a mirror: there, name images with ${mirror.host}/.`,
      'Static pods and the pause image have no service account, so they are anonymous to the mirror.',
      'A pod with imagePullSecrets for the same registry: kubelet tries those too.',
    ],
    fallback: [
      'The mirror alone is asked: if it refuses or fails, the pull fails, and no token leaves for Docker Hub.',
      `Block ${HUB_HOSTS} for the nodes, so that no file decides about it.`,
    ],
  };
}
