import { certificateFiles, certificatePaths, curlLine, trustStoreLines } from './certificate-files.ts';
import { hostsFiles, ownHostsFile } from './hosts-toml.ts';
import { auditLine, type ClientKit, HUB_HOSTS, type KitRefusal, type KitRequest } from './kit.ts';

const ROOT = '/etc/docker/certs.d';

/**
 * Makes the kit for both stores of dockerd. A fleet has both, because an upgraded daemon keeps its old store.
 */
export function dockerdKit({ mirror, name, strict }: KitRequest): ClientKit | KitRefusal {
  if (!mirror.upstreams.includes('docker.io'))
    return { refusal: 'dockerd knows mirrors of docker.io alone, which is not among the upstreams here' };
  const directory = `${ROOT}/${mirror.host}`;
  const paths = certificatePaths(mirror, directory);
  const settings = `${JSON.stringify({ 'registry-mirrors': [mirror.url] }, undefined, 2)}\n`;
  return {
    credential: 'certificate',
    subject: `cert:${name}`,
    files: [
      { path: '/etc/docker/daemon.json', mode: 0o644, content: { text: settings } },
      ...certificateFiles(mirror, directory),
      ownHostsFile(mirror, ROOT, paths),
      ...hostsFiles(mirror, ROOT, paths, strict),
    ],
    notes: {
      merge: [
        'daemon.json may be there already: add "registry-mirrors" to it. It is for the classic store; the containerd store',
        '(docker info names io.containerd.snapshotter) goes by hosts.toml, from docker 28 on.',
      ],
      reload: [
        'systemctl reload docker   containers go on running; the other files are read at the next pull, by BuildKit within ten minutes,',
        'up to docker 27 at a restart.',
        ...trustLines(paths.ca),
      ],
      check: [
        `docker info --format '{{json .RegistryConfig.Mirrors}}'   prints ["${mirror.url}/"]`,
        curlLine(mirror, paths),
        'docker pull alpine',
        auditLine(`cert:${name}`),
      ],
      notReached: [
        'The containerd store before docker 28: it presents no certificate to a mirror.',
        'Builders of docker buildx create: they are BuildKits of their own, see hubgate client-config buildkit.',
        'The classic store for any registry but docker.io, and docker push.',
        'docker manifest inspect alpine, docker buildx imagetools inspect alpine, docker search: these ask Docker Hub itself.',
        `By the mirror’s name the first two ask the mirror: docker manifest inspect ${mirror.host}/library/alpine`,
        `Names that begin with ${mirror.host}/ use docker login ${mirror.host}, if there is one. Without it the classic store`,
        'presents the certificate for them, and the containerd store nothing.',
        'A mirror on a loopback address: dockerd reads no certificate for it, and the mirror sees anonymous.',
      ],
      fallback: fallbackLines(strict),
    },
  };
}

function trustLines(ca: string | undefined): string[] {
  if (ca === undefined) return [];
  return [
    'With the containerd store, put the CA into the machine’s trust store too; then systemctl restart docker.',
    ...trustStoreLines(ca),
  ];
}

function fallbackLines(strict: boolean): string[] {
  return [
    'When the mirror refuses or fails, the classic store asks Docker Hub, and has no setting against it:',
    `block ${HUB_HOSTS} for this machine.`,
    strict
      ? 'The containerd store asks the mirror alone.'
      : 'The containerd store does so too; --strict closes that.',
    'docker push to these registries fails with the containerd store, and says so: the mirror serves pulls only. Where pushes',
    'matter more, put capabilities = ["pull", "resolve"] below [host."…"]; docker 29.1 and later then asks the registry for referrers.',
  ];
}
