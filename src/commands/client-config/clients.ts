import type { Federation } from '../../config/federation.ts';
import { buildkitKit } from './buildkit.ts';
import { federatedKit, federationOf, type Job, type Provider, tokenKit } from './ci.ts';
import type { ClientName } from './client-names.ts';
import { containerdKit } from './containerd.ts';
import { craneKit, dockerKit } from './docker.ts';
import { dockerdKit } from './dockerd.ts';
import { githubJob } from './github-actions.ts';
import { gitlabJob } from './gitlab.ts';
import { k3dKit } from './k3d.ts';
import { k3sKit, rke2Kit } from './k3s.ts';
import { kindKit } from './kind.ts';
import type { ClientKit, KitAccount, KitRefusal, KitRequest } from './kit.ts';
import { kubernetesKit } from './kubernetes.ts';
import { minikubeKit } from './minikube.ts';
import { podmanKit } from './podman.ts';
import { regctlKit } from './regctl.ts';
import { skopeoKit } from './skopeo.ts';
import { talosKit } from './talos.ts';

/** The facts on which a kit may depend besides the client's name. */
export interface KnownClient {
  /** The account of this name in the users file; undefined if there is none. */
  readonly account: KitAccount | undefined;
  readonly federations: readonly Federation[];
}

type KitOf = (asked: KitRequest, known: KnownClient) => ClientKit | KitRefusal;

const KITS: Readonly<Record<ClientName, KitOf>> = {
  docker: withAccount(dockerKit),
  dockerd: dockerdKit,
  containerd: containerdKit,
  podman: podmanKit,
  'cri-o': podmanKit,
  buildkit: buildkitKit,
  kubernetes: withService(kubernetesKit),
  k3s: k3sKit,
  rke2: rke2Kit,
  k3d: k3dKit,
  kind: kindKit,
  minikube: minikubeKit,
  talos: talosKit,
  skopeo: skopeoKit,
  crane: withAccount(craneKit),
  regctl: withAccount(regctlKit),
  'github-actions': ofJob('github', githubJob),
  gitlab: ofJob('gitlab', gitlabJob),
};

export const CLIENTS: ReadonlyMap<string, KitOf> = new Map(Object.entries(KITS));

function withAccount(kit: (asked: KitRequest, account: KitAccount) => ClientKit | KitRefusal): KitOf {
  return (asked, { account }) => {
    if (account !== undefined) return kit(asked, account);
    const { name } = asked;
    return {
      refusal: `there is no user ${name}: hubgate user add ${name}, for a program hubgate user add ${name} --service`,
    };
  };
}

function withService(kit: (asked: KitRequest) => ClientKit): KitOf {
  return (asked, { account }) => {
    if (account === 'service') return kit(asked);
    const { name } = asked;
    if (account === 'person')
      return {
        refusal: `${name} is a person, whose password belongs into no cluster; a service account: hubgate user add NAME --service`,
      };
    return { refusal: `there is no service account ${name}: hubgate user add ${name} --service` };
  };
}

function ofJob(provider: Provider, jobOf: (asked: KitRequest) => Job): KitOf {
  return (asked, { account, federations }) => {
    const federation = federationOf(provider, federations);
    return federation === undefined
      ? tokenKit(asked, jobOf(asked), provider, account)
      : federatedKit(asked, jobOf(asked), federation);
  };
}
